#!/usr/bin/env bash
# What bf16 costs in loss: trains w1 (bench/workload.h) on a data set for some steps, in f32 and in bf16 from the same
# weights and samples, and prints both validation losses.
#
#   bench/bf16_loss.sh DATA [STEPS] [BUILD_DIRECTORY]
#
# DATA is a directory made by `motley data prepare`, best with a vocabulary of 8192. STEPS: 300. The runs are kept in
# BUILD_DIRECTORY/bf16_loss.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
[ $# -ge 1 ] || { echo "usage: bench/bf16_loss.sh DATA [STEPS] [BUILD_DIRECTORY]" >&2; exit 2; }
data=$1
steps=${2:-300}
build=${3:-$root/build/release}
results=$build/bf16_loss
mkdir -p "$results"

for dtype in f32 bf16; do
  "$build/motley" train --data.path "$data" --train.run "$results/$dtype" --train.overwrite --train.steps "$steps" \
    --model.dtype "$dtype" --model.family gpt2 --model.layers 6 --model.width 384 --model.heads 6 --model.kv_heads 6 \
    --model.mlp_width 1536 --model.context 256 --train.micro_batch 8 --optim.lr 1e-3 --optim.warmup 20 >&2
done
# The loss of the last evaluation.
loss() { sed -n 's/^{"kind":"eval".*"loss":\([0-9.]*\).*/\1/p' "$results/$1/metrics.jsonl" | tail -n 1; }
awk -v f32="$(loss f32)" -v bf16="$(loss bf16)" -v steps="$steps" 'BEGIN {
  printf "validation loss after %d steps: f32 %.5f, bf16 %.5f, %+.3f %%\n", steps, f32, bf16, 100 * (bf16 / f32 - 1) }'
