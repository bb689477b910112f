#!/usr/bin/env bash
# The most memory that training a workload (bench/workload.h) takes, with every setting of model.recompute, beside
# PyTorch's process where it is installed (apt install python3-torch libopenblas0).
#
#   bench/memory.sh [BUILD_DIRECTORY] [STEPS] [WORKLOAD...]
#
# Peaks are of the whole process, with its libraries and what it keeps of built kernels; ratios are to PyTorch's in the
# same dtype (bf16: its autocast).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=${1:-$root/build/release}
steps=${2:-2}
workloads=("${@:3}")
[ ${#workloads[@]} -gt 0 ] || workloads=(w1 w3)
bench=$build/bench/bench_train
[ -x "$bench" ] || { echo "bench/memory.sh: '$bench' was not found; build it first" >&2; exit 2; }
export OMP_WAIT_POLICY=PASSIVE

python=/usr/bin/python3
with_torch=yes
"$python" -c 'import torch' >/dev/null 2>&1 || with_torch=no
[ $with_torch = yes ] || echo "bench/memory.sh: no PyTorch: apt install python3-torch libopenblas0" >&2

# field KEY: of the JSON on standard input.
field() { sed -n "s/^ *\"$1\": \([0-9.e+]*\),\{0,1\}\$/\1/p"; }

printf '%-9s %-6s %-20s %10s %10s %10s\n' workload dtype program 'MiB peak' 'of torch' tokens/s
for workload in "${workloads[@]}"; do
  for dtype in f32 bf16; do
    torch=0
    if [ $with_torch = yes ]; then
      flags=()
      [ $dtype = f32 ] || flags=(--bf16)
      json=$("$python" "$root/bench/torch_train.py" --workload "$workload" --steps "$steps" "${flags[@]}")
      torch=$(field process_peak_bytes <<<"$json")
      awk -v w="$workload" -v d=$dtype -v b="$torch" -v r="$(field tokens_per_s <<<"$json")" \
        'BEGIN { printf "%-9s %-6s %-20s %10.0f %10.2f %10.0f\n", w, d, "torch", b / 1048576, 1, r }'
    fi
    for recompute in none attention block; do
      json=$("$bench" --workload "$workload" --steps "$steps" --dtype $dtype --recompute $recompute)
      awk -v w="$workload" -v d=$dtype -v p="motley, $recompute" -v b="$(field process_peak_bytes <<<"$json")" \
        -v t="$torch" -v r="$(field tokens_per_s <<<"$json")" 'BEGIN {
          printf "%-9s %-6s %-20s %10.0f %10s %10.0f\n", w, d, p, b / 1048576, (t > 0 ? sprintf("%.2f", b / t) : "-"), r }'
    done
  done
done
