#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The promptdistill authors
# SPDX-License-Identifier: Apache-2.0
#
# The runs behind README's tables of answers, on SmolLM2-135M-Instruct:
#
#   examples/evaluate/published.sh EVALUATE MODEL_DIR OUT facts|layers|position|retained|ruler|news|zh [flags]
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

# As promptdistill-calibrate found them, with its heads, before it asked questions that are longer than a window of 16,
scoring=scorer=window,pool=31,protect_first=4
one=heads=14:3 late=heads=18:7,8 two='heads=14:3;18:7,8' three='heads=7:5,7;17:3;18:7,8'
# and since. Rivals get as many cache rows and may score by as many queries as stay at the end.
asking=scorer=window,window=32,protect_first=4,protect_last=64

# What stands side by side at a budget: the paper's scorer at its best layer, calibrated schedules of one to three
# stages, rivals with as many cache rows: the budget, a window of 16 and 4 protected tokens.
methods_at() {
  local budget=$1 first=$2 second=$3 rows=$(($1 + 20))
  printf '%s\n' "promptdistill:stages=20:$budget,truncate=all" \
    "promptdistill:stages=18:$budget,truncate=all,$scoring,$late" \
    "promptdistill:stages=14:$budget,truncate=all,$scoring,$one" \
    "promptdistill:stages=14:$second,18:$budget,truncate=all,$scoring,$two" \
    "promptdistill:stages=7:$first,17:$second,18:$budget,truncate=all,$scoring,$three" \
    "gemfilter-improved:layer=20,tokens=$rows" "snapkv:capacity=$rows" "streamingllm:recent=$((rows - 4))" \
    "fastkv:layer=15,capacity=$rows"
}

# The same at 512 tokens since calibration knows of longer questions.
methods_asking() {
  printf '%s\n' promptdistill:stages=20:579,truncate=all \
    "promptdistill:stages=17:512,truncate=all,$asking,heads=17:0,3,pool=15" \
    "promptdistill:stages=14:512,truncate=all,$asking,heads=14:3,pool=31" \
    "promptdistill:stages=7:2048,17:1024,23:512,truncate=all,$asking,heads=7:3,7;17:0,3;23:1,2,pool=31" \
    gemfilter-improved:layer=20,tokens=580 snapkv:capacity=580,window=64
}

run() { # the task and its prompts, with the methods on stdin
  local methods=()
  while read -r method; do methods+=(--method "$method"); done
  "$evaluate" "$model" --out "$out" "$@" "${methods[@]}"
}

case $table in
  facts) # 400 prompts: every length at every depth, five times
    {
      echo promptdistill:stages=14:512,truncate=all
      echo gemfilter-improved:layer=14,tokens=536
      methods_at 128 512 256
      methods_at 256 1024 512
      methods_at 512 2048 1024
      methods_at 1024 2048 1536
    } | run --task facts --lengths 1024,2048,3072,4096,5120,6144,7168,7700 --depths 10 --repeats 5 "$@"
    ;;
  ruler) # 100 prompts of each of four tasks
    for task in single multikey multivalue multiquery; do
      { methods_asking && printf '%s\n' streamingllm:recent=576 fastkv:layer=15,capacity=580,window=64; } |
        (out=$out/$task && run --task "ruler:$task" --lengths 4096 --depths 10 --repeats 10 "$@")
    done
    ;;
  news) # LongBench's multi_news: --data FOLDER
    methods_asking | run --task longbench:multi_news --limit 60 "$@"
    ;;
  zh) # a smoke test of another language and metric: --data FOLDER
    methods_asking | run --task longbench:passage_retrieval_zh --limit 10 "$@"
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
      echo "promptdistill:stages=14:$share%,truncate=all,$scoring,$one"
    done | run --task facts --seed 4 --lengths 4096 --depths 10 --repeats 6 "$@"
    ;;
  *)
    echo "published.sh: no table $table" >&2
    exit 2
    ;;
esac
