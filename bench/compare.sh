#!/usr/bin/env bash
# The workloads of bench/workload.h under Motley and under every peer that is installed, in turn, and one table of
# medians with ratios. On an otherwise idle machine.
#
#   bench/compare.sh [BUILD_DIRECTORY] [ROUNDS] [STEPS] [WORKLOAD...]
#
# Peers: PyTorch of /usr/bin/python3 (Debian's python3-torch and libopenblas0), eager, fp32 and bf16 autocast; with
# PYTHON=/path/to/python also that one's PyTorch, compiled. Each computes the same loss from the same weights and
# tokens, or the table says so. Ratios are to Debian's PyTorch in the same dtype. Shares of the peak are of the
# device's fp32 peak, also for bf16. JSON files of every run go to BUILD_DIRECTORY/compare.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=${1:-$root/build/release}
rounds=${2:-3}
steps=${3:-8}
workloads=("${@:4}")
[ ${#workloads[@]} -gt 0 ] || workloads=(w1 w2 w3)
bench=$build/bench/bench_train
[ -x "$bench" ] || { echo "bench/compare.sh: '$bench' was not found; build it first" >&2; exit 2; }
results=$build/compare
rm -rf "$results"
mkdir -p "$results"
export OMP_WAIT_POLICY=PASSIVE

debian=/usr/bin/python3
has_torch() { "$1" -c 'import torch' >/dev/null 2>&1; }
programs=("motley f32" "motley bf16")
with_torch=no
if has_torch "$debian"; then
  with_torch=yes
  programs+=("torch f32" "torch bf16")
else
  echo "bench/compare.sh: no PyTorch: apt install python3-torch libopenblas0" >&2
fi
if [ -n "${PYTHON-}" ]; then
  has_torch "$PYTHON" || { echo "bench/compare.sh: '$PYTHON' has no torch" >&2; exit 2; }
  programs+=("compiled f32" "compiled bf16")
fi

# run PROGRAM WORKLOAD: prints its JSON.
run() {
  local flags=()
  case $1 in *bf16) flags+=(--bf16) ;; esac
  case $1 in
    motley*) "$bench" --workload "$2" --steps "$steps" --dtype "${1#motley }" ;;
    torch*) "$debian" "$root/bench/torch_train.py" --workload "$2" --steps "$steps" "${flags[@]}" ;;
    compiled*) "$PYTHON" "$root/bench/torch_train.py" --workload "$2" --steps "$steps" --compile "${flags[@]}" ;;
  esac
}

file_of() { echo "$results/$2.${1// /-}.$3.json"; }
# field KEY FILE: a number or a text.
field() { sed -n "s/^ *\"$1\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" "$2"; }
# The median of a field over the rounds.
median() {
  local round
  for round in $(seq "$rounds"); do field "$3" "$(file_of "$1" "$2" "$round")"; done |
    sort -g | sed -n "$(((rounds + 1) / 2))p"
}

for round in $(seq "$rounds"); do
  for workload in "${workloads[@]}"; do
    for program in "${programs[@]}"; do
      run "$program" "$workload" >"$(file_of "$program" "$workload" "$round")"
    done
  done
done

printf '%-9s %-14s %10s %10s %8s %9s %10s  %s\n' workload program tokens/s 'of torch' GFLOP/s 'of peak' 'MiB peak' loss
for workload in "${workloads[@]}"; do
  own=$(file_of "motley f32" "$workload" 1)
  gflop=$(field gflop_per_token "$own")
  peak=$(median "motley f32" "$workload" peak_gflop_per_s)
  expected=$(field first_loss "$own")
  for program in "${programs[@]}"; do
    rate=$(median "$program" "$workload" tokens_per_s)
    peer=$rate
    if [ $with_torch = yes ]; then peer=$(median "torch ${program#* }" "$workload" tokens_per_s); fi
    awk -v workload="$workload" -v program="$program" -v rate="$rate" -v peer="$peer" -v gflop="$gflop" -v peak="$peak" \
      -v bytes="$(median "$program" "$workload" process_peak_bytes)" -v expected="$expected" \
      -v loss="$(field first_loss "$(file_of "$program" "$workload" 1)")" 'BEGIN {
        off = (loss - expected) / expected; if (off < 0) off = -off
        same = off < (program ~ /bf16/ ? 2e-3 : 1e-5) ? "same loss" : "ANOTHER LOSS: " loss ", not " expected
        printf "%-9s %-14s %10.0f %10.2f %8.1f %8.0f%% %10.0f  %s\n", workload, program, rate, rate / peer, rate * gflop,
          100 * rate * gflop / peak, bytes / 1048576, same }'
  done
done
first=$(file_of "motley f32" "${workloads[0]}" 1)
echo
printf 'device   %s, %.0f GFLOP/s in fp32 multiply-adds, %.1f GB/s in long additions\n' "$(field device "$first")" \
  "$(median "motley f32" "${workloads[0]}" peak_gflop_per_s)" "$(median "motley f32" "${workloads[0]}" peak_gb_per_s)"
if [ $with_torch = yes ]; then
  echo "torch    $(field torch "$(file_of "torch f32" "${workloads[0]}" 1)"), eager"
fi
if [ -n "${PYTHON-}" ]; then
  echo "compiled $(field torch "$(file_of "compiled f32" "${workloads[0]}" 1)"), torch.compile"
fi
