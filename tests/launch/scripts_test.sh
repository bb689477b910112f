#!/usr/bin/env bash
# The scripts of launch/ with mpirun, ssh, srun and the like replaced by programs that write down what they were
# called with. Usage: scripts_test.sh REPOSITORY SCRATCH
set -euo pipefail
repository=$1 scratch=$2
rm -rf "$scratch"
mkdir -p "$scratch/bin" "$scratch/launch" "$scratch/run"
cp "$repository"/launch/*.sh "$repository"/launch/*.sbatch "$repository"/launch/*.conf "$scratch/launch/"
cd "$scratch"
export PATH=$scratch/bin:$PATH
calls=$scratch/calls
failures=0

# fake NAME: a program whose text comes from standard input; it begins by writing down its call.
fake() {
  { echo '#!/bin/bash'; echo "printf '%s' $1 >>$calls; printf ' %q' \"\$@\" >>$calls; echo >>$calls"; cat; } >"bin/$1"
  chmod +x "bin/$1"
}
fake mpirun <<'F'
exit "${FAKE_STATUS:-0}"
F
fake srun <<'F'
exit "${FAKE_STATUS:-0}"
F
fake scontrol <<<''
fake hostname <<<'echo node1'
fake motley <<'F'
case "$1" in
  devices) [ "${FAKE_COUNT:-3}" != none ] || exit 3; echo "${FAKE_COUNT:-3}" ;;
  config)
    case "$*" in *wrong*) echo 'error[config.unknown-key]' >&2; exit 2 ;; esac
    printf '%s\n' '[train]' "run = \"$SCRATCH/run\"   # default" '[device]' "use = \"${FAKE_USE:-auto}\"  # default"
    ;;
esac
F
fake getent <<'F'
case "$2" in
  node1) echo '127.0.1.1 STREAM node1' ;;
  node2) echo '10.1.2.7 STREAM node2' ;;
  node3) echo '10.1.2.250 STREAM node3' ;;
  far) echo '192.0.2.1 STREAM far' ;;
  *) exit 2 ;;
esac
F
fake ip <<'F'
echo '2: docker0    inet 172.17.0.1/16 brd 172.17.255.255 scope global docker0'
echo '3: eth0    inet 10.1.2.1/24 brd 10.1.2.255 scope global eth0'
F
fake ssh <<'F'
case "$*" in
  *node3*) [ -z "${FAKE_SSH:-}" ] || { echo "$FAKE_SSH"; exit "${FAKE_SSH_STATUS:-0}"; } ;;
esac
sha256sum "$(command -v motley)"
F
export SCRATCH=$scratch

# check NAME EXPECTED_STATUS COMMAND...: runs it with no call written down yet.
check() {
  local expected=$2 status=0
  name=$1
  shift 2
  : >"$calls"
  "$@" >output 2>&1 </dev/null || status=$?
  [ "$status" -eq "$expected" ] || complain "ended with $status, not $expected"
}
complain() {
  echo "FAILED $name: $*" >&2
  sed 's/^/  output: /' output >&2
  sed 's/^/  call: /' "$calls" >&2
  failures=$((failures + 1))
}
called() { grep -qF -- "$1" "$calls" || complain "no call has '$1'"; }
not_called() { ! grep -qF -- "$1" "$calls" || complain "a call has '$1'"; }
says() { grep -qF -- "$1" output || complain "the output lacks '$1'"; }

mca='--mca hwloc_base_binding_policy none --mca mpi_yield_when_idle 1 --mca plm_rsh_no_tree_spawn 1'
mca="$mca --mca oob_tcp_keepalive_time 10 --mca oob_tcp_keepalive_intvl 5 --mca oob_tcp_keepalive_probes 3 --mca btl_tcp_sndbuf 65536"

check local_counts_devices 0 launch/local.sh train run.toml --lr '1e-3 x'
called 'motley devices --count --device auto'
called "mpirun --host localhost:3 -n 3 --bind-to none $mca $scratch/bin/motley train run.toml --lr 1e-3\\ x"
FAKE_USE='gpu; node2=cpu' check local_asks_the_settings 0 launch/local.sh train run.toml
called "devices --count --device gpu\\;\\ node2=cpu"
check local_reads_the_flag 0 launch/local.sh doctor --device=cpu
called 'devices --count --device cpu'
FAKE_COUNT=none check local_examines_a_host_without_devices 0 launch/local.sh doctor
called 'localhost:1 -n 1'
FAKE_COUNT=none check local_trains_nowhere 3 launch/local.sh train x
not_called mpirun
check local_takes_a_count 0 launch/local.sh -n 5 eval runs/x data
called 'localhost:5 -n 5'
not_called 'devices --count'
check local_only_shows 0 launch/local.sh --dry-run -n 2 train x
says 'mpirun --host localhost:2'
not_called mpirun
FAKE_STATUS=75 check local_passes_the_status_on 75 launch/local.sh -n 2 train x
check local_stops_for_wrong_settings 2 launch/local.sh train wrong.toml
says 'config.unknown-key'
not_called mpirun
check local_needs_a_command 2 launch/local.sh
check local_knows_its_options 2 launch/local.sh --ranks 2 train
check local_needs_a_number 2 launch/local.sh -n two train

cat >hosts <<'H'
# a comment
node1 slots=2
node2 slots=1   # and another

node3 slots=4
H
check ssh_finds_the_subnet 0 launch/ssh.sh hosts train /data/run.toml
called "mpirun --hostfile hosts -n 7 --map-by slot --bind-to none $mca --mca btl_tcp_if_include 10.1.2.0/24"
called "--mca oob_tcp_if_include 10.1.2.0/24 $scratch/bin/motley train /data/run.toml"
called 'ssh -o BatchMode=yes -o ConnectTimeout=10 node2'
not_called 'ConnectTimeout=10 node1'
check ssh_takes_a_subnet 0 launch/ssh.sh hosts --subnet 10.9.0.0/16 train x
called 'btl_tcp_if_include 10.9.0.0/16'
not_called 'ip -o'
for subnet in nonsense 10.1.2.0 10.1.2.0/33 10.1.2.256/24 10.1.2/24 10.1.2.0/24,eth0; do
  check "ssh_refuses_the_subnet_$subnet" 2 launch/ssh.sh hosts --subnet "$subnet" train x
  says "not '$subnet'"
  not_called mpirun
done
check ssh_needs_a_subnet 2 launch/ssh.sh hosts --subnet
check ssh_only_shows 0 launch/ssh.sh hosts --dry-run train x
not_called mpirun
not_called 'ssh -o'
FAKE_SSH='Permission denied' FAKE_SSH_STATUS=255 check ssh_needs_a_login 3 launch/ssh.sh hosts train x
says 'node3: Permission denied'
says 'ssh-copy-id'
not_called mpirun
FAKE_SSH='0123 motley' check ssh_needs_the_same_program 3 launch/ssh.sh hosts train x
says 'node3: '
says 'another build'
echo 'node2' >bare
check ssh_wants_slots 2 launch/ssh.sh bare train x
says "bare:1: 'node2'"
echo 'node2 slots=99999999999999999999' >many
check ssh_refuses_too_many_slots 2 launch/ssh.sh many train x
says "many:1: 'node2 slots=99999999999999999999'"
not_called mpirun
printf 'node2 slots=1\nnode2 slots=1\n' >twice
check ssh_refuses_a_host_twice 2 launch/ssh.sh twice train x
echo '# nothing' >empty
check ssh_needs_hosts 2 launch/ssh.sh empty train x
echo 'nowhere slots=1' >unknown
check ssh_needs_known_hosts 3 launch/ssh.sh unknown train x
printf 'node2 slots=1\nfar slots=1\n' >apart
check ssh_needs_one_network 3 launch/ssh.sh apart train x
says '--subnet'
check ssh_needs_a_file 3 launch/ssh.sh missing train x
check ssh_takes_no_directory 3 launch/ssh.sh "$scratch/run" train x
says 'cannot read the host file'
check ssh_needs_arguments 2 launch/ssh.sh
check ssh_needs_a_command 2 launch/ssh.sh hosts
echo 'node1 slots=2' >alone
check ssh_alone_needs_no_subnet 0 launch/ssh.sh alone train x
not_called if_include

export SLURM_JOB_ID=17 SLURM_SUBMIT_DIR=$scratch
check slurm_uses_mpirun 0 bash launch/slurm.sbatch train /data/run.toml
called "mpirun --map-by slot --bind-to none $mca $scratch/bin/motley train /data/run.toml"
not_called scontrol
FAKE_STATUS=75 check slurm_requeues 75 bash launch/slurm.sbatch train x
called 'scontrol requeue 17'
FAKE_STATUS=6 check slurm_requeues_nothing_else 6 bash launch/slurm.sbatch train x
not_called scontrol
SLURM_RESTART_COUNT=1 check slurm_starts_anew_without_a_run 0 bash launch/slurm.sbatch train x --train.overwrite
not_called '--train.'
touch run/config.toml
SLURM_RESTART_COUNT=1 check slurm_overwrites_what_was_never_saved 0 bash launch/slurm.sbatch train x
called 'motley train x --train.overwrite'
mkdir -p run/ckpt/000000004
SLURM_RESTART_COUNT=1 check slurm_resumes 0 bash launch/slurm.sbatch train x --train.overwrite
called 'motley train x --train.resume'
check slurm_resumes_only_after_a_restart 0 bash launch/slurm.sbatch train x
not_called '--train.resume'
FAKE_STATUS=75 check srun_uses_pmix 75 bash launch/slurm-srun.sbatch train x
called "srun --mpi=pmix --cpu-bind=none --kill-on-bad-exit=0 --wait=60 $scratch/bin/motley train x"
called 'scontrol requeue 17'
not_called 'srun --mpi=none'
SLURM_RESTART_COUNT=2 check srun_resumes 0 bash launch/slurm-srun.sbatch train x
called 'motley train x --train.resume'
[ "$(grep -c 'srun --mpi=none true' "$calls")" -eq 2 ] || complain 'the step has a number that was used before'
SLURM_SUBMIT_DIR=/ check slurm_needs_the_root 2 bash launch/slurm.sbatch train x
check slurm_needs_a_command 2 bash launch/slurm.sbatch

# Signals: an mpirun that ends with 75 when it gets USR2, and with 143 when it gets TERM.
fake mpirun <<'F'
trap 'echo usr2 >>$SCRATCH/signals; [ -n "${FAKE_DEAF:-}" ] || exit 75' USR2
trap 'echo term >>$SCRATCH/signals; exit 143' TERM
trap 'echo int >>$SCRATCH/signals; exit 130' INT
echo ready >>"$SCRATCH/signals"
while :; do sleep 0.02; done
F
# signal NAME EXPECTED_STATUS SIGNAL...: sends them to local.sh, each when the last one has had its effect.
signal() {
  local expected=$2 status=0 pid sent=1
  name=$1
  shift 2
  : >signals
  : >"$calls"
  set -m # a background job without job control would ignore INT
  launch/local.sh -n 2 train x >output 2>&1 </dev/null &
  pid=$!
  set +m
  for signal in "$@"; do
    while [ "$(wc -l <signals)" -lt "$sent" ] && kill -0 "$pid"; do sleep 0.02; done
    kill "-$signal" "$pid"
    sent=$((sent + 1))
  done
  wait "$pid" || status=$?
  [ "$status" -eq "$expected" ] || complain "ended with $status, not $expected"
}
signal term_saves 75 TERM
grep -qx usr2 signals || complain 'mpirun got no USR2'
signal int_saves 75 INT
signal usr1_saves 75 USR1
says 'save and stop'
FAKE_DEAF=1 signal second_term_ends 143 TERM TERM
grep -qx term signals || complain 'mpirun got no TERM'
FAKE_DEAF=1 signal usr2_may_come_often 143 USR2 USR2 TERM TERM

# The quick start, with a program that makes what it is told to.
mkdir -p quick/build/release
cp -r launch quick/
fake dpkg-query <<<'echo installed'
fake cmake <<<''
fake mpirun <<'F'
mkdir -p "$SCRATCH/quick/dir/run/ckpt/1"
F
fake make_product <<'F'
while [ $# -gt 1 ]; do
  [ "$1" != -o ] || touch "$2"
  shift
done
F
cp bin/make_product quick/build/release/motley
touch quick/build/release/build.ninja
echo one >one
cp one same
echo other >other
quickstart() { check "$1" "$2" quick/launch/quickstart.sh --dir "$scratch/quick/dir" --corpus "$scratch/$3"; }
quickstart quickstart_makes_what_is_missing 0 one
called 'tokenizer train'
called 'mpirun'
quickstart quickstart_skips_what_is_done 0 one
not_called 'tokenizer train'
not_called mpirun
quickstart quickstart_knows_the_text_by_its_contents 0 same
quickstart quickstart_refuses_another_text 2 other
says "was made of $scratch/one"
not_called 'sample'
rm quick/dir/corpus.sha256
quickstart quickstart_refuses_what_it_does_not_know 2 one
says 'an unknown text'
quickstart quickstart_needs_a_file 4 missing
quickstart quickstart_takes_no_directory 4 run

[ "$failures" -eq 0 ] || exit 1
echo "all of launch/ called what it should"
