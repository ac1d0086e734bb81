#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# tidy.sh CLANG-TIDY: the core's sources through clang-tidy, with build/clang's flags. A file whose preprocessed text
# was clean before is not looked at again.
set -u -o pipefail
cd "$(dirname "$(readlink -f "$0")")/.." || exit 2
export TIDY=$1
jobs=${SYNFIN_JOBS:-$(nproc)}
mkdir -p build/clang/tidy

check_one() {
  local file=$1 key
  key=$({ clang++-19 -std=c++23 -I. -E -P "$file"; cat "$file" .clang-tidy; "$TIDY" --version; } 2>/dev/null | sha256sum | cut -d' ' -f1)
  if [ ! -e "build/clang/tidy/$key" ]; then
    local output
    if ! output=$("$TIDY" --quiet -p build/clang "$file" 2>/dev/null); then
      echo "not ok clang-tidy $file"
      grep -E 'warning:|error:' <<<"$output" | sed 's/^/    /'
      return
    fi
    : >"build/clang/tidy/$key"
  fi
  echo "ok clang-tidy $file"
}
export -f check_one
find synfin/base synfin/wire synfin/trace synfin/tcp synfin/stack -name '*.cpp' ! -name '*_test.cpp' | sort |
  xargs -P "$jobs" -I{} bash -c 'check_one "$1"' bash {}
