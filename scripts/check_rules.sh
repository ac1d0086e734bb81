#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Rules of the house that the compiler does not know. Prints one line a rule: "ok NAME" or "not ok NAME" with findings.
set -u
cd "$(dirname "$(readlink -f "$0")")/.." || exit 2
status=0

# verdict NAME FINDINGS: nothing found is good.
verdict() {
  if [ -z "$2" ]; then
    echo "ok $1"
  else
    echo "not ok $1"
    sed 's/^/    /' <<<"$2"
    status=1
  fi
}

sources() { find "$@" \( -name '*.h' -o -name '*.cpp' -o -name '*.def' \) -type f 2>/dev/null; }
code() { sources "$@" | grep -v '_test\.cpp$'; }
below_runtime="synfin/base synfin/wire synfin/trace synfin/tcp synfin/stack synfin/link"
core="synfin/base synfin/wire synfin/trace synfin/tcp synfin/stack"

# Time is an argument: nothing below runtime/ may read a clock. (Comments may speak of clocks.)
# shellcheck disable=SC2046,SC2086
verdict "no clock is read below runtime/" "$(grep -nE 'std::chrono|clock_gettime|gettimeofday|steady_clock|system_clock|\btime\(NULL|\btime\(nullptr' \
  $(code $below_runtime) | grep -vE ':[0-9]+: *//')"
# shellcheck disable=SC2046,SC2086
verdict "no exception is thrown in the core" "$(grep -nE '\b(throw|try|catch|dynamic_cast|typeid)\b *[({]?' $(code $core) |
  grep -vE ':[0-9]+: *(//|\*)|//.*\b(throw|try|catch)|"[^"]*\b(throw|try|catch)\b[^"]*"')"
# shellcheck disable=SC2046,SC2086
verdict "no stream, file or log in the core" "$(grep -nE '#include <(iostream|fstream|cstdio|stdio.h|syslog.h|thread|mutex|atomic)>' $(code $core))"

# Rooms depend downwards only: room, then what it may include.
rooms_rule() {
  local room=$1 allowed=$2
  # shellcheck disable=SC2046
  grep -HnoE '#include "synfin/[a-z]+/' $(code "synfin/$room") /dev/null | grep -vE "\"synfin/($allowed)/"
}
findings=$(
  rooms_rule base 'base'
  rooms_rule wire 'base|wire'
  rooms_rule trace 'base|wire|trace'
  rooms_rule tcp 'base|wire|trace|tcp|stack' | grep -v 'synfin/stack/'
  rooms_rule stack 'base|wire|trace|tcp|stack'
  rooms_rule link 'base|wire|trace|link' | grep -v 'synfin/trace/'
  rooms_rule runtime 'base|wire|trace|tcp|stack|link|runtime'
  rooms_rule socket 'base|wire|trace|tcp|stack|link|runtime|socket'
  rooms_rule packetdrill 'base|wire|trace|tcp|stack|link|runtime|socket|packetdrill'
  rooms_rule view 'base|wire|trace|tcp|stack|view'
  rooms_rule sim 'base|wire|trace|tcp|stack|link|view|sim'
)
verdict "rooms include only what lies below them" "$findings"

# shellcheck disable=SC2046
verdict "every source names its licence" "$(sources synfin apps examples tests fuzz bench docs | while read -r file; do
  head -n 2 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' || echo "$file"; done)"
verdict "every header has its guard" "$(find synfin apps docs -name '*.h' -type f | while read -r file; do
  grep -q '^#pragma once' "$file" || echo "$file"; done)"
# shellcheck disable=SC2046
verdict "nothing is left for later" "$(grep -nE '\b(TODO|FIXME|XXX|HACK)\b' $(sources synfin apps examples tests fuzz bench docs) /dev/null)"
verdict "tests do not sleep" "$(grep -nE 'sleep_for|sleep_until|\busleep\(|\bsleep\(' $(find synfin tests docs -name '*_test.cpp' -type f) /dev/null)"

# Every requirement of RFC 9293 has a test that is tagged with it or a reason, and the page that lists them is up to date.
verdict "RFC 9293's requirements have tests or reasons, and docs/rfc9293.md says which" "$(scripts/rfc9293.py --check 2>&1)"
tried=$(python3 scripts/rfc9293_test.py 2>&1) && tried=
verdict "scripts/rfc9293.py finds what it must" "$tried"
# The same for the rules of the RFCs about data, by section.
verdict "the rules in docs/data-rules.md have tests or reasons" "$(scripts/data_rules.py 2>&1)"
tried=$(python3 scripts/data_rules_test.py 2>&1) && tried=
verdict "scripts/data_rules.py finds what it must" "$tried"
exit $status
