#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# tidy.sh CLANG-TIDY: the core's sources through clang-tidy, with build/clang's flags. What reads the syntax alone takes
# them in that build's batches, in which the headers are read once; the analyzer, which follows paths, takes each source
# alone, because it judges a function that it has met in a call by that call. What was clean before, preprocessed, is
# not looked at again. One line for each source and pass: "ok" or "not ok", below it what was found.
set -u -o pipefail
cd "$(dirname "$(readlink -f "$0")")/.." || exit 2
export TIDY=$1
jobs=${SYNFIN_JOBS:-$(nproc)}
mkdir -p build/clang/tidy

TIDY_FLAGS=$(python3 - <<'PYTHON'
import json, re
for entry in json.load(open("build/clang/compile_commands.json")):
    if "/synfin_core.dir/" in entry["command"]:
        flags = re.sub(r"^.*?clang\+\+\S*\s+", "", entry["command"])
        print(re.sub(r" -[oc] \S+", "", flags))
        break
PYTHON
) || exit 1
ANALYZER=$(sed -n 's/^ *\(clang-analyzer-[a-zA-Z.*]*\),$/\1/p' .clang-tidy | paste -sd,)
if [ -z "$TIDY_FLAGS" ] || [ -z "$ANALYZER" ]; then
  echo "not ok clang-tidy: neither flags in build/clang nor an analyzer in .clang-tidy"
  exit 1
fi
export TIDY_FLAGS ANALYZER

included() { sed -n "s,^#include \"$PWD/\(.*\)\"$,\1,p" "$@"; }

# findings CHECKS FILE SOURCE...: what clang-tidy says of a file that is made of these sources; nothing is good.
findings() {
  local checks=$1 file=$2 key output
  shift 2
  # shellcheck disable=SC2086
  key=$({ clang++-19 $TIDY_FLAGS -E -P "$file"; cat "$@" .clang-tidy; "$TIDY" --version; echo "$checks"; } 2>/dev/null | sha256sum | cut -d' ' -f1)
  [ -e "build/clang/tidy/$key" ] && return
  # shellcheck disable=SC2086
  if output=$("$TIDY" --quiet "--checks=$checks" "$file" -- $TIDY_FLAGS 2>/dev/null); then
    : >"build/clang/tidy/$key"
  else
    grep -E 'warning:|error:' <<<"$output" || echo "error: $TIDY ended without a word about $file"
  fi
}

# verdict NAME FINDINGS
verdict() {
  if [ -z "$2" ]; then
    echo "ok $1"
  else
    echo "not ok $1"
    sed 's/^/    /' <<<"$2"
  fi
}

check_batch() {
  local sources source output
  sources=$(included "$1")
  # shellcheck disable=SC2086
  output=$(findings '-clang-analyzer-*' "$1" $sources)
  for source in $sources; do
    verdict "clang-tidy $source" "$(grep -F "$PWD/$source:" <<<"$output")"
    output=$(grep -vF "$PWD/$source:" <<<"$output")
  done
  # What lies in no source lies in a header.
  [ -z "$output" ] || verdict "clang-tidy, headers" "$output"
}

check_alone() { verdict "clang-analyzer $1" "$(findings "-*,$ANALYZER" "$1" "$1")"; }
export -f included findings verdict check_batch check_alone

batches=$(find build/clang/CMakeFiles/synfin_core.dir/Unity -name '*.cxx' | sort)
sources=$(find synfin/base synfin/wire synfin/trace synfin/tcp synfin/stack -name '*.cpp' ! -name '*_test.cpp' | sort)
# shellcheck disable=SC2086
verdict "clang-tidy sees every source of the core" "$(comm -3 - <(included $batches /dev/null | sort) <<<"$sources")"
{ printf 'check_batch %s\n' $batches; printf 'check_alone %s\n' $sources; } |
  xargs -P "$jobs" -n 2 bash -c '"$@"' bash
