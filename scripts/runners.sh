# SPDX-License-Identifier: Apache-2.0
#
# Sourced by ./test: one function a runner. Each adds to `passed`, `failed` and `skipped`; what failed is said on
# standard error. A runner that found nothing to run has failed: green must mean that something was tried.

core_rooms="base wire trace tcp stack"

fail() {
  failed=$((failed + 1))
  printf 'FAILED: %s\n' "$*" >&2
}
pass() { passed=$((passed + 1)); }

# Words for the build folder of a preset that is needed; a failure of the build counts as one failure.
built() {
  local preset=$1
  shift
  local options=()
  while [ $# -gt 0 ] && [ "${1#-D}" != "$1" ]; do
    options+=("$1")
    shift
  done
  if configure "$preset" "${options[@]}" && build "$preset" "$@"; then return 0; fi
  fail "build of $preset"
  return 1
}

# Of the summaries of googletest in these logs, the sum of what a line says: count WORD LOG…
count() {
  local word=$1
  shift
  sed -n "s/^\[ *$word *\] \([0-9]*\) test.*/\1/p" "$@" | awk '{ sum += $1 } END { print sum + 0 }'
}

# run_gtests FOLDER: every test program there, in parts that run side by side, as the slowest would else run alone at
# the end; the numbers come from their own summaries.
run_gtests() {
  local folder=$1 program name part parts n logs programs bad
  programs=$(find "$folder" -maxdepth 1 -name '*_test' -type f -perm -u+x | sort)
  if [ -z "$programs" ]; then
    fail "no test programs in $folder"
    return
  fi
  parts=$((2 * SYNFIN_JOBS))
  rm -rf "$folder/logs"
  mkdir -p "$folder/logs"
  # shellcheck disable=SC2016
  for program in $programs; do
    for part in $(seq 0 $((parts - 1))); do printf '%s %s\n' "$program" "$part"; done
  done | xargs -P "$SYNFIN_JOBS" -L 1 sh -c \
    'log=$1/logs/$(basename "$3").$4
     GTEST_TOTAL_SHARDS=$2 GTEST_SHARD_INDEX=$4 timeout 600 "$3" --gtest_brief=1 --gtest_color=no >"$log.log" 2>&1
     echo $? >"$log.status"' sh "$folder" "$parts"
  for program in $programs; do
    name=$folder/logs/$(basename "$program")
    logs=("$name".*.log)
    n=$(count PASSED "${logs[@]}")
    passed=$((passed + n))
    n=$((n + $(count SKIPPED "${logs[@]}")))
    skipped=$((skipped + $(count SKIPPED "${logs[@]}")))
    bad=0
    for part in $(seq 0 $((parts - 1))); do
      [ "$(cat "$name.$part.status")" = 0 ] && continue
      bad=$(count FAILED "$name.$part.log")
      failed=$((failed + (bad > 0 ? bad : 1)))
      bad=1
      printf 'FAILED: %s (part %s of %s, exit status %s), the end of %s:\n' "$program" "$part" "$parts" \
        "$(cat "$name.$part.status")" "$name.$part.log" >&2
      tail -n 40 "$name.$part.log" >&2
    done
    if [ "$bad" -eq 0 ] && [ "$n" -eq 0 ]; then fail "$program ran no test"; fi
  done
}

# run_unittest NAME: the Python tests in tests/NAME; the numbers come from their own summary.
run_unittest() {
  local log=build/release/$1.log n summary failures=0 errors=0 skips=0 status
  PYTHONDONTWRITEBYTECODE=1 python3 -m unittest discover -v -s "tests/$1" -p '*_test.py' >"$log" 2>&1
  status=$?
  n=$(sed -n 's/^Ran \([0-9]*\) tests\? in .*/\1/p' "$log" | tail -n 1)
  summary=$(grep -E '^(OK|FAILED)' "$log" | tail -n 1)
  [[ $summary =~ failures=([0-9]+) ]] && failures=${BASH_REMATCH[1]}
  [[ $summary =~ errors=([0-9]+) ]] && errors=${BASH_REMATCH[1]}
  [[ $summary =~ skipped=([0-9]+) ]] && skips=${BASH_REMATCH[1]}
  failed=$((failed + failures + errors))
  skipped=$((skipped + skips))
  passed=$((passed + ${n:-0} - failures - errors - skips))
  if [ "$status" -ne 0 ]; then
    [ $((failures + errors)) -eq 0 ] && fail "the tests in tests/$1 ended with status $status"
    tail -n 80 "$log" >&2
  elif [ "${n:-0}" -eq 0 ]; then
    fail "no test ran in tests/$1"
  fi
}

# Unit and cross-room tests, optimised, with assertions of the standard library off: what ships.
run_unit() {
  built release -DSYNFIN_TESTS=ON || return
  if grep -q 'warning:' build/release.log; then
    grep 'warning:' build/release.log | sort -u | head >&2
    fail "compiler warnings"
  fi
  run_gtests build/release
  # Every benchmark for a moment, so that none rots.
  SYNFIN_BENCH=$PWD/build/release/synfin-bench run_unittest bench
}

# The libraries and their tests, by the other compiler; the tool is built from the same sources, and the lab tests drive
# the optimised one.
run_sanitize() {
  built sanitize -DSYNFIN_APPS=OFF -DCMAKE_COMPILE_WARNING_AS_ERROR=ON || return
  ASAN_OPTIONS=detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1 run_gtests build/sanitize
}

# What can be read from the sources alone.
run_rules() {
  local output
  output=$(scripts/check_rules.sh 2>&1)
  passed=$((passed + $(grep -c '^ok ' <<<"$output")))
  failed=$((failed + $(grep -c '^not ok ' <<<"$output")))
  grep -v '^ok ' <<<"$output" >&2
}

# The core alone: no exceptions, no run-time types, nothing linked but libsodium.
run_core() {
  local output
  output=$(scripts/check_core.sh 2>&1)
  passed=$((passed + $(grep -c '^ok ' <<<"$output")))
  failed=$((failed + $(grep -c '^not ok ' <<<"$output")))
  grep -v '^ok ' <<<"$output" >&2
}

# A second compiler's opinion on what it has not compiled for the sanitizers, and clang-tidy's on the core. Nothing is built.
run_clang() {
  configure clang -DSYNFIN_TESTS=OFF || { fail "configuring clang"; return; }
  local tidy output
  tidy=$(command -v clang-tidy-19 || command -v clang-tidy)
  output=$(scripts/clang_opinion.sh 2>&1; scripts/tidy.sh "$tidy" 2>&1)
  passed=$((passed + $(grep -c '^ok ' <<<"$output")))
  failed=$((failed + $(grep -c '^not ok ' <<<"$output")))
  grep -v '^ok ' <<<"$output" >&2
}

# Installs into a folder, and builds a small project of its own against it: CMake and pkg-config.
run_install() {
  built release -DSYNFIN_TESTS=ON synfin synfin_core synfin_net || return
  local output
  output=$(tests/install/run.sh build/release build/install 2>&1)
  passed=$((passed + $(grep -c '^ok ' <<<"$output")))
  failed=$((failed + $(grep -c '^not ok ' <<<"$output")))
  grep -v '^ok ' <<<"$output" >&2
}

# The built program against the kernel, in a network of its own.
run_lab() {
  built release -DSYNFIN_TESTS=ON synfin synfin-http-load synfin-puppet synfin-quality synfin-example-echo synfin-example-hold_syn || return
  local example
  for example in echo hold_syn; do
    examples/${example}_test.sh "$PWD/build/release/synfin-example-$example" >build/release/example.log 2>&1
    case $? in
      0) pass ;;
      77) skipped=$((skipped + 1)) ;;
      *) fail "examples/${example}_test.sh"; tail -n 20 build/release/example.log >&2 ;;
    esac
  done
  SYNFIN=$PWD/build/release/synfin SYNFIN_HTTP_LOAD=$PWD/build/release/synfin-http-load \
    SYNFIN_PUPPET_PROGRAM=$PWD/build/release/synfin-puppet run_unittest lab
}

# A short run of every fuzz target; findings are left in build/fuzz/findings.
run_fuzz() {
  local seconds=${SYNFIN_FUZZ_SECONDS:-20} target name programs
  built fuzz || return
  programs=$(find build/fuzz -maxdepth 1 -name '*_fuzz' -type f -perm -u+x | sort)
  if [ -z "$programs" ]; then
    fail "no fuzz targets in build/fuzz"
    return
  fi
  mkdir -p build/fuzz/findings build/fuzz/logs
  # shellcheck disable=SC2016
  printf '%s\n' $programs | xargs -P "$SYNFIN_JOBS" -I{} sh -c '
    name=$(basename "$1"); mkdir -p "build/fuzz/corpus/$name"
    seeds="fuzz/corpus/${name%_fuzz}"; [ -d "$seeds" ] || seeds=
    "$1" -max_total_time="$2" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
      -artifact_prefix="build/fuzz/findings/$name-" "build/fuzz/corpus/$name" $seeds >"build/fuzz/logs/$name.log" 2>&1
    echo $? >"build/fuzz/logs/$name.status"' sh {} "$seconds"
  for target in $programs; do
    name=$(basename "$target")
    if [ "$(cat "build/fuzz/logs/$name.status")" -eq 0 ]; then
      pass
    else
      fail "$name; the end of build/fuzz/logs/$name.log:"
      tail -n 30 "build/fuzz/logs/$name.log" >&2
    fi
  done
}
