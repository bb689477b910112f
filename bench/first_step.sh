#!/usr/bin/env bash
# How long `motley train` takes from its start to the end of its first step, on a model like w1 (bench/workload.h):
# with empty caches of built kernels, and with those that the run before has left. On an otherwise idle machine.
#
#   bench/first_step.sh [BUILD_DIRECTORY] [ROUNDS] [DTYPE]
#
# Each round begins with empty caches (XDG_CACHE_HOME and POCL_CACHE_DIR of its own) and goes on with two warm runs.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=${1:-$root/build/release}
rounds=${2:-3}
dtype=${3:-f32}
motley=$build/motley
[ -x "$motley" ] || { echo "bench/first_step.sh: '$motley' was not found; build it first" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$motley" tokenizer train --vocab 2000 -o "$work/tok.json" /usr/share/common-licenses/GPL-3 >/dev/null
"$motley" data prepare --tokenizer "$work/tok.json" --val 0 -o "$work/data" /usr/share/common-licenses/GPL-3 \
  >/dev/null 2>&1

settings=(--model.family gpt2 --model.layers 6 --model.width 384 --model.heads 6 --model.kv_heads 6
  --model.mlp_width 1536 --model.context 256 --model.dtype "$dtype" --train.micro_batch 8 --train.global_batch 2048
  --train.steps 1 --train.log_every 1 --train.eval_every 0 --train.save_every 0 --train.sample_every 0
  --data.path "$work/data")

# Seconds from the start until the first step is in the metrics, which is when the host has its loss.
first_step() {
  local run=$work/run began ended process
  rm -rf "$run"
  began=$(date +%s%N)
  "$motley" train --train.run "$run" "${settings[@]}" >"$work/log" 2>&1 &
  process=$!
  until grep -qs '"kind":"step"' "$run/metrics.jsonl"; do
    kill -0 "$process" 2>/dev/null || { cat "$work/log" >&2; return 1; }
    sleep 0.01
  done
  ended=$(date +%s%N)
  wait "$process" || { cat "$work/log" >&2; return 1; }
  awk -v ns=$((ended - began)) 'BEGIN { printf "%.2f\n", ns / 1e9 }'
}

: >"$work/cold"
: >"$work/warm"
for round in $(seq "$rounds"); do
  export XDG_CACHE_HOME=$work/cache$round POCL_CACHE_DIR=$work/cache$round/pocl
  mkdir -p "$POCL_CACHE_DIR"
  first_step >>"$work/cold"
  for _ in 1 2; do first_step >>"$work/warm"; done
done

report() { sort -g "$2" | awk -v name="$1" '{ s[NR] = $1 } END {
  printf "%-12s %6.2f s to the end of step 1 (median of %d, %.2f - %.2f)\n", name, s[int(NR / 2) + 1], NR, s[1], s[NR] }'; }
report "caches cold" "$work/cold"
report "caches warm" "$work/warm"
