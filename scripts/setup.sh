# SPDX-License-Identifier: Apache-2.0
#
# Sourced by ./demo and ./test: what both need before they can do their own work.

say() { printf '== %s\n' "$*" >&2; }

SYNFIN_JOBS=${SYNFIN_JOBS:-$(nproc 2>/dev/null || echo 2)}

packages_for_demo="g++ cmake ninja-build pkg-config libboost1.81-dev libsodium-dev libfmt-dev libcli11-dev nlohmann-json3-dev curl"
packages_for_test="$packages_for_demo ccache clang-19 libclang-rt-19-dev clang-tidy-19 libgtest-dev libgmock-dev
  libbenchmark-dev liblwip-dev valgrind libpcap-dev iproute2 python3 tshark"

# Prints those of the named packages that are not installed.
missing_packages() {
  local name
  for name in "$@"; do
    dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null | grep -qx installed && continue
    printf '%s ' "$name"
  done
}

# need_packages NAME...: installs what is missing as root; otherwise says which line would, and ends.
need_packages() {
  if ! command -v dpkg-query >/dev/null; then
    say "this is not a Debian system; needed are what Debian calls: $*"
    return 0
  fi
  local missing
  missing=$(missing_packages "$@")
  [ -z "$missing" ] && return 0
  if [ "$(id -u)" -ne 0 ]; then
    say "some packages are missing; install them with"
    echo "apt-get install --no-install-recommends ${missing% }" >&2
    exit 2
  fi
  say "installing ${missing% }"
  export DEBIAN_FRONTEND=noninteractive
  local log
  log=$(mktemp)
  # The lists of a fresh machine are empty or old: they are fetched once, when the first attempt fails.
  # shellcheck disable=SC2086
  if ! apt-get install -y -q --no-install-recommends $missing >"$log" 2>&1; then
    if ! { apt-get update -q && apt-get install -y -q --no-install-recommends $missing; } >"$log" 2>&1; then
      tail -n 15 "$log" >&2
      rm -f "$log"
      say "the packages could not be installed"
      exit 2
    fi
  fi
  rm -f "$log"
}

# configure PRESET [-DNAME=VALUE...]: quiet unless it fails.
configure() {
  local preset=$1 log=build/$1.configure.log
  shift
  mkdir -p build
  # A cache made by another checkout, or by a build folder that was moved, is of no use.
  if [ -f "build/$preset/CMakeCache.txt" ] &&
     ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$PWD" "build/$preset/CMakeCache.txt"; then
    rm -rf "build/$preset"
  fi
  if command -v ccache >/dev/null && [ -z "${CMAKE_CXX_COMPILER_LAUNCHER:-}" ]; then
    export CMAKE_CXX_COMPILER_LAUNCHER=ccache
    # Tests share a precompiled header, which ccache takes only when told to.
    export CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
  fi
  if ! cmake --preset "$preset" "$@" >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    say "configuring $preset failed; the whole log is $log"
    return 1
  fi
}

# build PRESET [TARGET...]: one progress line on a terminal, the log in build/PRESET.log.
build() {
  local preset=$1 log=build/$1.log status=0
  shift
  local targets=()
  [ $# -gt 0 ] && targets=(--target "$@")
  if [ -t 2 ]; then
    NINJA_STATUS='[%f/%t] ' cmake --build "build/$preset" -j "$SYNFIN_JOBS" "${targets[@]}" 2>&1 | tee "$log" |
      while IFS= read -r line; do
        case $line in
          \[*) printf '\r\033[K== %s %s' "$preset" "${line:0:90}" >&2 ;;
        esac
      done
    status=${PIPESTATUS[0]}
    printf '\r\033[K' >&2
  else
    cmake --build "build/$preset" -j "$SYNFIN_JOBS" "${targets[@]}" >"$log" 2>&1 || status=$?
  fi
  if [ "$status" -ne 0 ]; then
    grep -nE 'error|FAILED|undefined reference' "$log" | head -n 20 >&2
    say "building $preset failed; the whole log is $log"
    return 1
  fi
}
