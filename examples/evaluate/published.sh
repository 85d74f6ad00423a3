#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The promptdistill authors
# SPDX-License-Identifier: Apache-2.0
#
# The runs behind README's tables of answers, on SmolLM2-135M-Instruct:
#
#   examples/evaluate/published.sh EVALUATE MODEL_DIR OUT facts|h2o|layers|position|retained|ruler|news|zh [flags]
#
# EVALUATE is promptdistill-evaluate. Flags go to it, as --part 1/2 for two processes (OMP_NUM_THREADS=1 each) whose
# results.jsonl are then put together. Hours on two cores; a stopped run goes on.
set -euo pipefail
if (($# < 4)); then
  sed -n '5,12s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
fi
evaluate=$1 model=$2 out=$3 table=$4
shift 4

# As promptdistill-calibrate found them, with their heads: what is asked stays with 64 tokens, the start with 4. Rivals
# get as many cache rows, the budget and these 68.
scoring=scorer=window,window=32,protect_first=4,protect_last=64
one=heads=14:3,pool=31 late=heads=17:0,3,pool=15
two='heads=14:1,3;17:0,3,pool=15' three='heads=7:3,7;17:0,3;23:1,2,pool=31'

# What stands side by side at a budget: the paper's scorer at its best layer, calibrated schedules of one to three
# stages, rivals.
methods_at() {
  local budget=$1 first=$2 second=$3 rows=$(($1 + 68))
  printf '%s\n' "promptdistill:stages=20:$((rows - 1)),truncate=all" \
    "promptdistill:stages=17:$budget,truncate=all,$scoring,$late" \
    "promptdistill:stages=14:$budget,truncate=all,$scoring,$one" \
    "promptdistill:stages=14:$second,17:$budget,truncate=all,$scoring,$two" \
    "promptdistill:stages=7:$first,17:$second,23:$budget,truncate=all,$scoring,$three" \
    "gemfilter-improved:layer=20,tokens=$rows" "snapkv:capacity=$rows" "streamingllm:recent=$((rows - 4))" \
    "fastkv:layer=15,capacity=$rows"
}

run() { # the task and its prompts, with the methods on stdin
  local methods=()
  while read -r method; do methods+=(--method "$method"); done
  "$evaluate" "$model" --out "$out" "$@" "${methods[@]}"
}

case $table in
  facts) # 400 prompts: every length at every depth, five times
    {
      methods_at 128 512 256
      methods_at 256 1024 512
      methods_at 512 2048 1024
      methods_at 1024 2048 1536
    } | run --task facts --lengths 1024,2048,3072,4096,5120,6144,7168,7700 --depths 10 --repeats 5 "$@"
    ;;
  h2o) # 80 prompts, as summing all attention takes as long as everything else together
    for budget in 128 256 512 1024; do
      printf 'h2o:heavy=%d,recent=%d\n' $((budget / 2 + 34)){,}
    done | run --task facts --lengths 1024,2048,3072,4096,5120,6144,7168,7700 --depths 10 --repeats 1 "$@"
    ;;
  ruler) # 100 prompts of each of four tasks
    for task in single multikey multivalue multiquery; do
      {
        methods_at 512 2048 1024
        methods_at 256 1024 512 | sed -n 5p # which 400 facts like better
        printf '%s,window=64\n' snapkv:capacity=580 fastkv:layer=15,capacity=580 # so that the question scores as well
      } | (out=$out/$task && run --task "ruler:$task" --lengths 4096 --depths 10 --repeats 10 "$@")
    done
    ;;
  news) # LongBench's multi_news: --data FOLDER
    methods_at 512 2048 1024 | run --task longbench:multi_news --limit 60 "$@"
    ;;
  zh) # a smoke test of another language and metric: --data FOLDER
    methods_at 512 2048 1024 | run --task longbench:passage_retrieval_zh --limit 10 "$@"
    ;;
  layers) # the paper's scorer: layer x k
    "$evaluate" "$model" --out "$out" --profile none --task facts --seed 2 --lengths 4096 --depths 10 --repeats 4 \
      --sweep layer=2:28:2 budget=128,256,512,1024 "$@"
    ;;
  position) # which queries score, at the layer where the paper's scorer is best
    {
      for scorer in last,skip_last={5,6,7} {window,raw},window={1,4,8,16,32,64}; do
        echo "promptdistill:stages=20:512,truncate=all,scorer=$scorer"
      done
      echo promptdistill:stages=20:512,truncate=all
    } | run --task facts --seed 3 --lengths 4096 --depths 10 --repeats 6 "$@"
    ;;
  retained) # 1 to 50 % of the tokens
    for share in 1 2 5 10 20 30 50; do
      echo "promptdistill:stages=20:$share%,truncate=all"
      echo "promptdistill:stages=14:$share%,truncate=all,scorer=window,window=16,pool=31,protect_first=4,heads=14:3"
    done | run --task facts --seed 4 --lengths 4096 --depths 10 --repeats 6 "$@"
    ;;
  *)
    echo "published.sh: no table $table" >&2
    exit 2
    ;;
esac
