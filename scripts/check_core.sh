#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the core alone and looks at what it needs. "ok NAME" or "not ok NAME", one line each.
set -u -o pipefail
cd "$(dirname "$(readlink -f "$0")")/.." || exit 2
. scripts/setup.sh

if configure release -B build/core -DSYNFIN_TOOLS=OFF -DSYNFIN_TESTS=OFF && build core synfin_core; then
  echo "ok the core builds without exceptions, run-time types and everything above it"
else
  echo "not ok the core builds without exceptions, run-time types and everything above it"
  exit 1
fi
library=build/core/libsynfin_core.a

flags=$(grep -c -- '-fno-exceptions -fno-rtti' build/core/build.ninja)
if [ "$flags" -gt 0 ]; then
  echo "ok -fno-exceptions -fno-rtti are given"
else
  echo "not ok -fno-exceptions -fno-rtti are given"
fi

# All of the library in one program, linked against nothing else than it may use: libsodium and what every C++ program has.
printf 'int main() {}\n' >build/core/main.cpp
if g++ -o build/core/alone build/core/main.cpp -Wl,--whole-archive "$library" -Wl,--no-whole-archive -lsodium 2>build/core/alone.log; then
  needed=$(objdump -p build/core/alone | sed -n 's/ *NEEDED *//p' | grep -vE '^lib(stdc\+\+|m|c|gcc_s)\.so|^ld-linux')
  if [[ $needed =~ ^libsodium\.so\.[0-9]+$ ]]; then
    echo "ok the core links libsodium and nothing else"
  else
    echo "not ok the core links libsodium and nothing else"
    sed 's/^/    /' <<<"$needed"
  fi
else
  echo "not ok the core links libsodium and nothing else"
  cat build/core/alone.log
fi

# No door to the outside: neither clock, file, socket, thread nor the system's random source.
asked=$(nm -u -C "$library" | awk '$1 == "U" {print $2}' | sort -u |
  grep -xE '(clock_gettime|gettimeofday|time|nanosleep|open|openat|fopen|read|write|socket|bind|sendto|sendmsg|recvfrom|recvmsg|poll|epoll_wait|pthread_create|getrandom|rand|random|printf|fprintf|puts|syslog|randombytes_buf)(@.*)?|std::chrono.*|std::(cout|cerr|clog)')
if [ -z "$asked" ]; then
  echo "ok the core calls no clock, file, socket, thread or random source"
else
  echo "not ok the core calls no clock, file, socket, thread or random source"
  sed 's/^/    /' <<<"$asked"
fi
thrown=$(nm -u -C "$library" | grep -E '__cxa_(throw|begin_catch|allocate_exception)|__dynamic_cast' | sort -u)
if [ -z "$thrown" ]; then
  echo "ok the core neither throws nor catches"
else
  echo "not ok the core neither throws nor catches"
  sed 's/^/    /' <<<"$thrown"
fi
