#!/usr/bin/env bash
# Ranks of unequal speed: two with a core each, the second slowed (by sleeping) to a FACTOR-th of its speed. What
# they reach together with shares by speed and with equal shares, as a part of the sum of what each does alone.
# On an otherwise idle machine with two cores or more.
#
#   bench/mixed.sh [BUILD_DIRECTORY] [FACTOR] [STEPS]
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=${1:-$root/build/release}
factor=${2:-3}
steps=${3:-40}
motley=$build/motley
[ -x "$motley" ] || { echo "bench/mixed.sh: '$motley' was not found; build it first" >&2; exit 2; }

if [ "$(id -u)" -eq 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

text=/usr/share/common-licenses/GPL-3
"$motley" tokenizer train --vocab 1000 -o "$work/tok.json" "$text" >/dev/null
"$motley" data prepare --tokenizer "$work/tok.json" --val 0 -o "$work/data" "$text" >/dev/null 2>&1

# 16 leaves of 2 sequences a step.
settings=(--model.layers 4 --model.width 192 --model.heads 6 --model.kv_heads 6 --model.mlp_width 768
  --model.context 64 --train.micro_batch 2 --train.global_batch 2048 --train.steps "$steps" --train.log_every 1
  --train.eval_every 0 --train.save_every 0 --train.sample_every 0 --data.path "$work/data")

# Runs a program with one core or more and prints the median of its tokens/s over the second half of the steps.
rate() {
  local run=$work/$1
  shift
  "$@" --train.run "$run" "${settings[@]}" ${more[@]+"${more[@]}"} >"$run.log" 2>&1 || { cat "$run.log" >&2; return 1; }
  grep '"kind":"step"' "$run/metrics.jsonl" | tail -n $((steps / 2)) |
    sed 's/.*"tokens_per_s":\([0-9.e+]*\).*/\1/' | sort -g | sed -n "$((steps / 4 + 1))p"
}

one_core=(taskset -c 0 "$motley" train)
two_ranks=(mpirun -np 2 --bind-to none "$motley" train)
more=()
fast=$(rate fast "${one_core[@]}")
more=(--inject "0:1:slow=${factor}x")
slow=$(rate slow "${one_core[@]}")
more=(--inject "1:1:slow=${factor}x" --dist.replan_every 0)
equal=$(rate equal "${two_ranks[@]}")
more=(--inject "1:1:slow=${factor}x")
planned=$(rate planned "${two_ranks[@]}")
leaves=$(grep '"kind":"step"' "$work/planned/metrics.jsonl" | tail -n 1 | grep -o '"leaves":[0-9]*' | sed 's/.*://' | xargs)

awk -v fast="$fast" -v slow="$slow" -v equal="$equal" -v planned="$planned" -v leaves="$leaves" 'BEGIN {
  sum = fast + slow
  printf "one rank alone       %8.0f tokens/s\n", fast
  printf "the slow one alone   %8.0f tokens/s\n", slow
  printf "equal shares         %8.0f tokens/s  %5.1f %% of the sum\n", equal, 100 * equal / sum
  printf "shares by speed      %8.0f tokens/s  %5.1f %% of the sum, leaves %s\n", planned, 100 * planned / sum, leaves
}'
