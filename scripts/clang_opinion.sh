#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What is compiled by GCC alone (the tool, examples, benchmarks) through Clang 19, warnings as errors, with the flags of
# build/clang and without making anything. Libraries and tests have been there: the sanitizers are Clang's.
set -u -o pipefail
cd "$(dirname "$(readlink -f "$0")")/.." || exit 2
jobs=${SYNFIN_JOBS:-$(nproc)}

check_one() {
  local output
  if output=$(cd build/clang && sh -c "$2 -fsyntax-only -Werror" 2>&1); then
    echo "ok clang $1"
  else
    echo "not ok clang $1"
    grep -E 'warning:|error:' <<<"$output" | sed 's/^/    /'
  fi
}
export -f check_one

# The launcher before the compiler is left out: nothing that could be kept is made.
python3 - <<'PYTHON' | xargs -0 -P "$jobs" -n 2 bash -c 'check_one "$1" "$2"' bash
import json, os, re, sys
for entry in json.load(open("build/clang/compile_commands.json")):
    file = os.path.relpath(entry["file"])
    if file.startswith(("apps/", "examples/", "bench/")):
        command = re.sub(r"^\S*ccache\s+", "", entry["command"])
        command = re.sub(r" -o \S+", "", command)
        sys.stdout.write(f"{file}\0{command}\0")
PYTHON
