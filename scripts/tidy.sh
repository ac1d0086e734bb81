#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# tidy.sh CLANG-TIDY: the core's sources through clang-tidy, with build/clang's flags and in its batches: most of the
# time goes into the headers, which are read once for a batch. A batch whose preprocessed text was clean before is not
# looked at again. Prints a line for each source: "ok" or "not ok", below it what was found.
set -u -o pipefail
cd "$(dirname "$(readlink -f "$0")")/.." || exit 2
export TIDY=$1
jobs=${SYNFIN_JOBS:-$(nproc)}
mkdir -p build/clang/tidy

check_batch() {
  local batch=$1 key output='' source found
  local sources
  sources=$(sed -n "s,^#include \"$PWD/\(.*\)\"$,\1,p" "$batch")
  # shellcheck disable=SC2086
  key=$({ clang++-19 -std=c++23 -I. -E -P "$batch"; cat $sources .clang-tidy; "$TIDY" --version; } 2>/dev/null | sha256sum | cut -d' ' -f1)
  if [ ! -e "build/clang/tidy/$key" ]; then
    if output=$("$TIDY" --quiet -p build/clang "$batch" 2>/dev/null); then
      output=
      : >"build/clang/tidy/$key"
    else
      output=$(grep -E 'warning:|error:' <<<"${output:-error: $TIDY ended without a word}")
    fi
  fi
  for source in $sources; do
    found=$(grep -F "$PWD/$source:" <<<"$output")
    if [ -n "$found" ]; then
      echo "not ok clang-tidy $source"
      sed 's/^/    /' <<<"$found"
      output=$(grep -vF "$PWD/$source:" <<<"$output")
    else
      echo "ok clang-tidy $source"
    fi
  done
  # What lies in no source lies in a header.
  if [ -n "$output" ]; then
    echo "not ok clang-tidy headers"
    sed 's/^/    /' <<<"$output"
  fi
}
export -f check_batch

batches=$(find build/clang/CMakeFiles/synfin_core.dir/Unity -name '*.cxx' | sort)
# shellcheck disable=SC2086
missed=$(find synfin/base synfin/wire synfin/trace synfin/tcp synfin/stack -name '*.cpp' ! -name '*_test.cpp' | sort |
  comm -23 - <(sed -n "s,^#include \"$PWD/\(.*\)\"$,\1,p" $batches /dev/null | sort))
for source in $missed; do echo "not ok clang-tidy $source: in no batch of build/clang"; done
printf '%s\n' $batches | xargs -P "$jobs" -I{} bash -c 'check_batch "$1"' bash {}
