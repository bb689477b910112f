#!/usr/bin/env bash
# bench/gpu.sh for real, as far as it goes without a GPU: makes a bundle, checks that it needs nothing of this system but
# glibc, and has it look at the machine, ask its questions and run a few tests from there, with an environment that
# knows nothing of this build. Usage: gpu_bundle_test.sh REPOSITORY BUILD_DIRECTORY SCRATCH
set -euo pipefail
repository=$1 build=$2 scratch=$3
rm -rf "$scratch"
mkdir -p "$scratch"
bundle=$scratch/bundle results=$scratch/results
fail() {
  echo "FAIL: $*" >&2
  exit 1
}

"$repository/bench/gpu.sh" bundle "$build" -o "$bundle"

# Every library comes from the bundle, or is glibc's or the compiler's.
strangers=$(find "$bundle/build" "$bundle/openmpi" "$bundle/lib" -type f \( -perm -u+x -o -name '*.so*' \) -print0 |
  LD_LIBRARY_PATH=$bundle/lib xargs -0 ldd 2>/dev/null | awk -v own="$bundle/lib/" '
    /not found/ { print $1 }
    $2 == "=>" && index($3, own) != 1 && $3 !~ /\/(lib(c|m|dl|rt|pthread|stdc\+\+|gcc_s|resolv))\.so/ { print $3 }' | sort -u)
[ -z "$strangers" ] || fail "the bundle needs $strangers"

for needed in "build/release/bench/probe" "build/release/tests/dist/mpi_comm_test" "openmpi/bin/orted" "bench/torch_train.py" \
  "tests/golden/gpt2.safetensors"; do
  [ -e "$bundle/$needed" ] || fail "the bundle lacks $needed"
done
cut -f 1 "$bundle/tests.tsv" >"$scratch/names"
grep -qx 'ops_matmul' "$scratch/names" || fail "tests.tsv lacks ops_matmul"
! grep -E 'oclgrind|multihost|tidy|compile_fail' "$scratch/names" || fail "tests.tsv has tests of sources"

env -i PATH=/usr/bin:/bin HOME="$scratch" TMPDIR="$scratch" ${ASAN_OPTIONS:+ASAN_OPTIONS="$ASAN_OPTIONS"} \
  bash "$bundle/bench/gpu.sh" run -o "$results" --small --minutes 20 \
  --only environment,devices,probes,tests \
  --tests '^(half_test|device_test|mpi_comm_test.np2)$' >"$scratch/output" 2>&1 || fail "$(cat "$scratch/output")"

summary=$results/summary.md
! grep -E '\| (FAILED|stopped|no time)' "$summary" || fail "$(tail -n 40 "$scratch/output")"
grep -qx '3 of 3 passed\.' "$summary" || fail "not all three tests passed: $(cat "$summary")"
num_probes=$("$build/bench/probe" --list | wc -l)
[ "$(grep -c '"seconds":' "$results/probes.jsonl")" -eq "$num_probes" ] || fail "not all of $num_probes probes answered"
! grep '"failed"' "$results/probes.jsonl" || fail "a probe could not be asked"
tar -tzf "$results/logs.tar.gz" >"$scratch/logs"
grep -qx 'logs/doctor.log' "$scratch/logs" || fail "logs.tar.gz lacks logs/doctor.log"
[ -z "$(find "$scratch" -maxdepth 1 -name 'motley-gpu*')" ] || fail "something was left behind: $(ls "$scratch")"

# NVIDIA's library is found where no .icd file names it, and one that cannot be loaded does no harm.
mkdir "$scratch/driver"
: >"$scratch/driver/libnvidia-opencl.so.580.1"
env -i PATH=/usr/bin:/bin HOME="$scratch" TMPDIR="$scratch" LD_LIBRARY_PATH="$scratch/driver" \
  bash "$bundle/bench/gpu.sh" run -o "$results" --small --only environment >"$scratch/output" 2>&1 ||
  fail "$(cat "$scratch/output")"
grep -qx "$scratch/driver/libnvidia-opencl.so.580.1" "$summary" || fail "NVIDIA's driver was not found: $(cat "$summary")"

# What cannot be a bundle is refused in words.
! "$repository/bench/gpu.sh" run "$scratch/nothing.tar.xz" >"$scratch/output" 2>&1 || fail "it ran no bundle at all"
grep -q "there is no bundle" "$scratch/output" || fail "$(cat "$scratch/output")"
! bash "$bundle/bench/gpu.sh" run --only train,everything >"$scratch/output" 2>&1 || fail "it knows a stage 'everything'"
grep -q "there is no stage 'everything'" "$scratch/output" || fail "$(cat "$scratch/output")"
echo "the bundle runs from $bundle"
rm -rf "$scratch"
