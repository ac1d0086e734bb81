#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# run.sh BUILD STAGE: installs BUILD into the folder STAGE and builds the small project beside this script against it,
# with CMake and with pkg-config. "ok NAME" or "not ok NAME", one line each.
set -u -o pipefail
build=$(readlink -f "$1")
mkdir -p "$2"
stage=$(readlink -f "$2")
here=$(dirname "$(readlink -f "$0")")
rm -rf "$stage"
mkdir -p "$stage/work"
status=0

# check NAME COMMAND...
check() {
  local name=$1 output
  shift
  if output=$("$@" 2>&1); then
    echo "ok $name"
  else
    echo "not ok $name"
    tail -n 20 <<<"$output" | sed 's/^/    /'
    status=1
  fi
}

check "cmake --install" cmake --install "$build" --prefix "$stage/usr"
check "the installed tool runs" "$stage/usr/bin/synfin" --version
check "man page of the tool" test -s "$stage/usr/share/man/man1/synfin.1"
check "find_package(synfin)" cmake -S "$here/consumer" -B "$stage/work/cmake" -G Ninja -DCMAKE_PREFIX_PATH="$stage/usr" -DCMAKE_BUILD_TYPE=Release
check "a program against synfin::synfin builds" cmake --build "$stage/work/cmake" --target consumer
check "and runs" "$stage/work/cmake/consumer"
check "a program against synfin::core builds" cmake --build "$stage/work/cmake" --target core_consumer
check "and runs" "$stage/work/cmake/core_consumer"
pc=$(dirname "$(find "$stage/usr" -name synfin.pc)")
export PKG_CONFIG_PATH=$pc
# shellcheck disable=SC2046
check "pkg-config --cflags --libs synfin" c++ -std=c++23 -O0 "$here/consumer/core_consumer.cpp" -o "$stage/work/pc" $(pkg-config --cflags --libs synfin)
check "and that program runs" "$stage/work/pc"
check "no header of the installed tree names the build" sh -c "! grep -rlF '$build' '$stage/usr/include'"
exit $status
