# shellcheck shell=bash disable=SC2154
# The stages of `bench/gpu.sh run`. Sourced by bench/gpu_run.sh, whose variables and functions they use; each is a
# function stage_NAME.

# Puts the first Python with PyTorch, and one that sees the GPU unless --small, into `python`.
find_torch() {
  local test='import sys, torch; sys.exit(not torch.cuda.is_available())'
  [ "$small" = no ] || test='import torch'
  for python in "${PYTHON:-python3}" python3 /usr/bin/python3; do
    if timeout 60 "$python" -c "$test" >/dev/null 2>&1; then return 0; fi
  done
  python=''
  return 1
}

# field KEY FILE...: the values of a key in JSON of ours, a number or a text; of each line or file one.
field() {
  local key=$1
  shift
  sed -n "s/.*\"$key\": *\"\{0,1\}\([^\",}]*\).*/\1/p" "$@"
}

# code_block FILE: as a part of the summary.
code_block() {
  finding '```'
  awk 1 "$@" >>"$work/findings.md" # which ends the last line, too
  finding '```'
}

# --- environment: what the machine is ---

describe_machine() {
  uname -a
  echo "$(nproc) processors, $(sed -n 's/^MemTotal: *//p' /proc/meminfo)"
  df -h "$work"
  getconf GNU_LIBC_VERSION
  echo "--- drivers; NVIDIA's OpenCL: ${nvidia_driver:-in none of the usual folders}"
  ls -l /etc/OpenCL/vendors
  [ -z "$nvidia_driver" ] || find "${nvidia_driver%/*}/" -maxdepth 1 -name '*opencl*' -o -maxdepth 1 -name 'libcuda*' \
    -o -maxdepth 1 -name '*nvvm*' -o -maxdepth 1 -name '*ptxjit*'
  head "$work"/vendors/*.icd
  timeout 20 nvidia-smi
  timeout 20 nvidia-smi -q -d CLOCK,POWER
  echo "--- libraries"
  "${own[@]}" ldd "$release/motley"
  echo "--- PyTorch"
  find_torch && "$python" -c 'import sys, torch; print(sys.executable, torch.__version__, torch.version.cuda)'
}

stage_environment() {
  local log=$work/logs/environment.log
  echo "== environment" >&2
  describe_machine >"$log" 2>&1 || true
  printf 'environment\tok\t-\n' >>"$work/steps.tsv"
  finding $'\n## Machine\n'
  if ! ls "$work"/vendors/*.icd >/dev/null 2>&1; then
    finding "**No OpenCL driver: /etc/OpenCL/vendors has no .icd file, and no libnvidia-opencl.so was found.**"
  fi
  { sed -n '1,2p' "$log"; awk 1 "$work"/vendors/*.icd; timeout 20 nvidia-smi -L; } >"$work/machine" 2>/dev/null || true
  code_block "$work/machine"
}

# --- devices: what Motley sees ---

stage_devices() {
  finding $'\n## Devices\n'
  step devices 60 "${own[@]}" "$release/motley" devices || true
  code_block "$work/logs/devices.log"
  local doctor=("$release/motley" doctor --device "$device") log=$work/logs/doctor.log
  if ! step doctor 120 "${own[@]}" mpirun -n 1 "${doctor[@]}"; then
    # Without Open MPI, in case that is at fault.
    step doctor_alone 120 "${own[@]}" "${doctor[@]}" || true
    log="$log $work/logs/doctor_alone.log"
  fi
  finding "What \`motley doctor\` does not find in order:"
  # shellcheck disable=SC2086 # one or two
  grep -hE '^(warn|FAIL)' $log >"$work/complaints" || echo nothing >"$work/complaints"
  code_block "$work/complaints"
}

# --- probes: what no manual tells ---

stage_probes() {
  local name
  : >"$work/probes.jsonl"
  for name in $("${own[@]}" "$release/bench/probe" --list); do
    if step "probe_$name" 60 "${own[@]}" "$release/bench/probe" "$name" --device "$device" &&
      grep '^{' "$work/logs/probe_$name.log" >>"$work/probes.jsonl"; then
      continue
    fi
    echo "{\"probe\":\"$name\",\"failed\":\"see logs/probe_$name.log\"}" >>"$work/probes.jsonl"
  done
  finding $'\n## Probes\n\n`probes.jsonl` in whole; build logs, texts and extensions are cut here.\n'
  sed 's/"\(log\|text\|extensions\)":"\(\\.\|[^"\\]\)*"/"\1":"..."/g' "$work/probes.jsonl" >"$work/probes.short"
  code_block "$work/probes.short"
}

# --- tests: those that need no compiler, on the first device there is ---

links=()
# link_place FROM TO: where something that tests were built to find is missing, a link to the bundle's, until the end.
link_place() {
  local made=$2
  [ ! -e "$2" ] || return 0
  while [ ! -e "$(dirname "$made")" ]; do made=$(dirname "$made"); done
  if mkdir -p "$(dirname "$2")" 2>/dev/null && ln -s "$1" "$2" 2>/dev/null; then
    links+=("$2" "$made")
  else
    finding "\`$2\` could not be made; tests that look there fail."
  fi
}
# Takes them and the directories that were made for them away.
remove_links() {
  local i place
  for ((i = 0; i < ${#links[@]}; i += 2)); do
    place=${links[i]}
    rm -f "$place"
    while [ "$place" != "${links[i + 1]}" ]; do
      place=$(dirname "$place")
      rmdir "$place" 2>/dev/null || break
    done
  done
  links=()
}

one_test() {
  local name=$1 limit=$2 command=$3 status=0 began=$SECONDS word=ok left=$((deadline - SECONDS)) skipped
  local log=$work/logs/tests/$name.log folder=$work/tests/$name
  [ "$limit" -lt "$left" ] || limit=$left
  mkdir -p "$folder"
  (cd "$folder" && timeout -k 5 "$limit" "${own[@]}" bash -c "$command") >"$log" 2>&1 </dev/null || status=$?
  rm -rf "$folder"
  skipped=$(grep -c '^\[  SKIPPED \] .* ms)$' "$log" || true)
  case $status in
    0) [ "$skipped" -eq 0 ] || word="ok, $skipped skipped" ;;
    124 | 137) word="stopped after $limit s" ;;
    *) word="FAILED ($status)" ;;
  esac
  printf '%s\t%s\t%s\n' "$name" "$word" $((SECONDS - began)) >>"$work/tests.tsv"
}

# Those of devices first, those of ranks and of the program last.
listed_tests() {
  local original
  original=$(cat "$bundle/root")
  sed "s|'$original/build/release/|'$release/|g" "$bundle/tests.tsv" |
    awk -F '\t' '{ print ($3 ~ /tests\/(ops|kernels|tensor)\// ? 0 : $3 ~ /tests\/(dist|launch)\// ? 2 : 1) "\t" $0 }' |
    sort -s -n -k 1,1 | cut -f 2-
}

stage_tests() {
  local name limit command at_once=$((($(nproc) + 1) / 2)) place original
  echo "== tests" >&2
  original=$(cat "$bundle/root")
  for place in build/release tests/golden; do link_place "$bundle/$place" "$original/$place"; done
  link_place "$bundle/openmpi/bin/mpiexec" /usr/bin/mpiexec
  link_place "$bundle/text/GPL-3" /usr/share/common-licenses/GPL-3
  mkdir -p "$work/logs/tests"
  : >"$work/tests.tsv"
  listed_tests >"$work/listed_tests"
  while IFS=$'\t' read -r name limit command; do
    [[ $name =~ $test_pattern ]] || continue
    while [ "$(jobs -rp | wc -l)" -ge "$at_once" ]; do wait -n || true; done
    if [ $((deadline - SECONDS)) -lt 5 ]; then
      printf '%s\tno time left\t0\n' "$name" >>"$work/tests.tsv"
    else
      one_test "$name" "$limit" "$command" &
    fi
  done <"$work/listed_tests"
  wait
  remove_links
  cp "$work/tests.tsv" "$work/logs/tests.tsv"
  local passed all
  all=$(wc -l <"$work/tests.tsv")
  passed=$(cut -f 2 "$work/tests.tsv" | grep -c '^ok' || true)
  finding $'\n## Tests\n'
  finding "$passed of $all passed."
  finding $'\n| test | result | seconds |\n| --- | --- | --- |'
  awk -F '\t' '$2 != "ok" { printf "| %s | %s | %s |\n", $1, $2, $3 }' "$work/tests.tsv" >>"$work/findings.md"
  printf 'tests\t%s of %s passed\t-\n' "$passed" "$all" >>"$work/steps.tsv"
}

# --- speed: products, memory and ops ---

# The model of `train`: GPT-2 124M.
settle_model() {
  local T=1024 B=8
  [ "$small" = no ] || { T=64 B=1; }
  model=(--model.preset gpt2-124m --model.vocab 50257 --model.dtype bf16 --train.sequence "$T" --train.micro_batch "$B"
    --device.use "$device")
}

stage_speed() {
  local workload dtype rounds=5 mib=256 name
  local brief=() model workloads=(w1 w2 w4)
  settle_model
  [ "$small" = no ] || { rounds=1 mib=8 brief=(--brief) workloads=(w1); }
  finding $'\n## Speed\n'
  for workload in "${workloads[@]}"; do
    for dtype in f32 bf16; do
      name=gemm_${workload}_$dtype
      step "$name" 60 "${own[@]}" "$release/bench/bench_gemm" --workload "$workload" --dtype "$dtype" \
        --rounds $rounds --device "$device" || true
      grep ' of a step ' "$work/logs/$name.log" >"$work/totals" || continue
      finding "Products of a step of $workload in $dtype:"
      code_block "$work/totals"
    done
  done
  step bandwidth 60 "${own[@]}" "$release/bench/bench_bandwidth" --mib $mib --rounds $rounds --device "$device" || true
  finding "Ops that memory limits:"
  grep -E '%$|additions' "$work/logs/bandwidth.log" | grep -v '"' >"$work/totals" || true
  code_block "$work/totals"
  for dtype in f32 bf16; do
    step "ops_$dtype" 60 "${own[@]}" "$release/bench/bench_ops" --dtype $dtype "${brief[@]}" || true
  done
  if [ "$small" = no ]; then
    step tune 120 "${own[@]}" "$release/motley" tune "${model[@]}" || true
    finding "\`motley tune\` of GPT-2 124M in bf16:"
    code_block "$work/logs/tune.log"
  fi
}

# --- train: GPT-2 124M in bf16 on real text, twice ---

prepare_data() {
  [ -d "$work/data/tokens" ] && return
  mkdir -p "$work/data"
  step tokenizer 120 "${own[@]}" "$release/motley" tokenizer train --vocab 2048 -o "$work/data/tok.json" \
    "$bundle/text/corpus.txt" &&
    step tokens 60 "${own[@]}" "$release/motley" data prepare --tokenizer "$work/data/tok.json" --val 2% \
      -o "$work/data/tokens" "$bundle/text/corpus.txt"
}

# What must be equal of two runs: losses and norms of all steps, and the checkpoint's tensors.
bits_of() {
  sed -n 's/.*"kind":"step","step":\([0-9]*\),.*"loss":\([^,]*\),"norm":\([^,]*\),.*/\1 \2 \3/p' "$1/metrics.jsonl"
  (cd "$1"/ckpt/[0-9]* && sha256sum model.safetensors optim.safetensors)
}

stage_train() {
  local steps=40 model run
  settle_model
  [ "$small" = no ] || steps=2
  finding $'\n## GPT-2 124M in bf16 on real text\n'
  prepare_data || { finding "There is no data: see logs/tokenizer.log and logs/tokens.log."; return 0; }
  local settings=("${model[@]}" --data.path "$work/data/tokens" --train.seed 7
    --train.eval_tokens 4096 --train.log_every 0 --optim.warmup 10 --optim.lr 3e-4)
  for run in first second; do
    step "train_$run" 180 "${own[@]}" "$release/motley" train "${settings[@]}" --train.steps "$steps" \
      --train.run "$work/run_$run" || true
    bits_of "$work/run_$run" >"$work/logs/bits_$run.txt" 2>/dev/null || true
    rm -rf "$work/run_$run/ckpt"
  done
  tail -n 12 "$work/logs/train_first.log" >"$work/tail"
  code_block "$work/tail"
  if [ "$(grep -c safetensors "$work/logs/bits_first.txt")" != 2 ]; then
    finding "The first run left no checkpoint: its bits are not known."
  elif cmp -s "$work/logs/bits_first.txt" "$work/logs/bits_second.txt"; then
    finding "The second run has the same bits: $steps losses and norms, all weights and moments."
  else
    finding "**The second run has other bits.** First difference:"
    diff "$work/logs/bits_first.txt" "$work/logs/bits_second.txt" | head -n 4 >"$work/tail" || true
    code_block "$work/tail"
  fi
  [ "$small" = no ] || return 0
  step train_profile 120 "${own[@]}" "$release/motley" train "${settings[@]}" --train.steps 12 \
    --train.run "$work/run_profile" --profile steps=8-10 || true
  rm -rf "$work/run_profile/ckpt"
  grep profile "$work/logs/train_profile.log" >"$work/tail" || true
  code_block "$work/tail"
}

# --- peer: the same step under PyTorch ---

stage_peer() {
  local workload=w4 steps=20 torch_device=cuda name rate peer
  [ "$small" = no ] || { workload=w1 steps=2 torch_device=cpu; }
  finding $'\n## Beside PyTorch\n'
  local ours=("${own[@]}" "$release/bench/bench_train" --workload "$workload" --steps "$steps" --dtype bf16
    --device "$device")
  step motley_bf16 120 "${ours[@]}" || true
  if find_torch; then
    local theirs=("$python" "$bundle/bench/torch_train.py" --workload "$workload" --steps "$steps" --bf16
      --device "$torch_device")
    step torch_eager_bf16 120 "${theirs[@]}" || true
    [ "$small" = yes ] || step torch_compiled_bf16 180 "${theirs[@]}" --compile || true
    step motley_bf16_again 120 "${ours[@]}" || true
  else
    finding "No Python with PyTorch that sees a GPU; PYTHON=/path/to/python names one."
  fi
  finding $'| program | tokens/s | times Motley | first loss |\n| --- | --- | --- | --- |'
  rate=$(field tokens_per_s "$work/logs/motley_bf16.log")
  for name in motley_bf16 torch_eager_bf16 torch_compiled_bf16 motley_bf16_again; do
    peer=$(field tokens_per_s "$work/logs/$name.log" 2>/dev/null) || continue
    [ -n "$peer" ] || continue
    finding "| $name | $(printf '%.0f' "$peer") | $(awk -v a="$peer" -v b="${rate:-0}" \
      'BEGIN { if (b > 0) printf "%.2f", a / b }') | $(field first_loss "$work/logs/$name.log") |"
  done
}
