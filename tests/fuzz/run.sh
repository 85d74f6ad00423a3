#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The promptdistill authors
# SPDX-License-Identifier: Apache-2.0
# tests/fuzz/run.sh [SECONDS [TARGET...]]: builds the fuzzers (needs clang and its runtime, Debian's libclang-rt-14-dev)
# and runs each for SECONDS (60). Stops at a finding, with exit code 1: the input is then in build/fuzz/findings.

# shellcheck source=../../cmake/bootstrap.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../../cmake/bootstrap.sh"
seconds=${1:-60}
targets=("${@:2}")
((${#targets[@]})) || targets=(safetensors config tokenizer encode chat)

mkdir -p "$build/logs"
need_torch
need_build fuzz

[[ ! -w /dev/shm ]] || export TMPDIR=/dev/shm # Every input becomes a file.
for target in "${targets[@]}"; do
  found=$build/fuzz/corpus/$target # Kept: the next run begins where this one ended.
  dictionary=$root/tests/fuzz/$target.dict
  mkdir -p "$found" "$build/fuzz/findings"
  echo "==> $target, $seconds s"
  # 64 MB at once, or 2 GB in all with the sanitizer's and LibTorch's own, is more than 8 KB of input justify.
  nice -n 19 "$build/fuzz/tests/fuzz/fuzz-$target" -max_total_time="$seconds" -timeout=5 -max_len=8192 \
    -malloc_limit_mb=64 -rss_limit_mb=2048 -dict="$dictionary" -artifact_prefix="$build/fuzz/findings/$target-" \
    -print_final_stats=1 "$found" "$root/tests/fuzz/corpus/$target" >"$build/logs/fuzz-$target.log" 2>&1 || {
    grep -aE 'what\(\)|ERROR|runtime error|SUMMARY|Test unit written' "$build/logs/fuzz-$target.log" | cut -c1-300 >&2
    die "a finding in $target; all of the output is in $build/logs/fuzz-$target.log"
  }
  grep -aE '^Done|stat::(number_of_executed_units|new_units_added|peak_rss_mb)' "$build/logs/fuzz-$target.log"
done
