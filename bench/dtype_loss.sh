#!/usr/bin/env bash
# What storing weights and activations in 16 bits costs in loss: trains w1 (bench/workload.h) on a data set for some
# steps, in f32 and in each of the others from the same weights and samples, and prints the validation losses.
#
#   [SEED=N] bench/dtype_loss.sh DATA [STEPS] [BUILD_DIRECTORY] [DTYPE...]
#
# DATA is a directory made by `motley data prepare`, best with a vocabulary of 8192. STEPS: 300. DTYPE: bf16, f16 and
# bf16-random, whose weights are rounded at random (optim.stochastic_rounding). The runs are kept in
# BUILD_DIRECTORY/dtype_loss. SEED, of weights and samples: 1337.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
[ $# -ge 1 ] || { echo "usage: bench/dtype_loss.sh DATA [STEPS] [BUILD_DIRECTORY] [DTYPE...]" >&2; exit 2; }
data=$1
steps=${2:-300}
build=${3:-$root/build/release}
dtypes=("${@:4}")
[ ${#dtypes[@]} -gt 0 ] || dtypes=(bf16 bf16-random f16)
results=$build/dtype_loss
mkdir -p "$results"

# The loss of the last evaluation.
loss() { sed -n 's/^{"kind":"eval".*"loss":\([0-9.]*\).*/\1/p' "$results/$1/metrics.jsonl" | tail -n 1; }
for dtype in f32 "${dtypes[@]}"; do
  flags=(--model.dtype "${dtype%-random}")
  case $dtype in *-random) flags+=(--optim.stochastic_rounding) ;; esac
  "$build/motley" train --data.path "$data" --train.run "$results/$dtype" --train.overwrite --train.steps "$steps" \
    --train.seed "${SEED:-1337}" "${flags[@]}" --model.family gpt2 --model.layers 6 --model.width 384 \
    --model.heads 6 --model.kv_heads 6 \
    --model.mlp_width 1536 --model.context 256 --train.micro_batch 8 --optim.lr 1e-3 --optim.warmup 20 >&2
  awk -v dtype="$dtype" -v f32="$(loss f32)" -v loss="$(loss "$dtype")" -v steps="$steps" 'BEGIN {
    printf "validation loss after %d steps: %-11s %.5f, %+.3f %%\n", steps, dtype, loss, 100 * (loss / f32 - 1) }'
done
