#!/usr/bin/env bash
# launch/local.sh for real: two ranks train a tiny model under mpirun to the end, and save when a terminal's
# Ctrl-C arrives. Usage: local_test.sh REPOSITORY SCRATCH PROGRAM
set -euo pipefail
repository=$1 scratch=$2 program=$3
text=/usr/share/common-licenses/GPL-3
rm -rf "$scratch"
mkdir -p "$scratch"
cp -r "$repository/launch" "$scratch/"
cd "$scratch"
export PATH=${program%/*}:$PATH # there is no build/release beside this copy of launch/

"$program" tokenizer train --vocab 400 -o tok.json "$text" >/dev/null
"$program" data prepare --tokenizer tok.json --val 10% -o data "$text" >/dev/null
cat >run.toml <<T
[model]
layers = 2
width = 48
heads = 4
kv_heads = 2
mlp_width = 96
context = 32
[data]
path = "$scratch/data"
[train]
micro_batch = 2
global_batch = 512
log_every = 0.0
T

fail() {
  echo "FAILED: $*" >&2
  cat output >&2
  exit 1
}
launch/local.sh -n 2 train run.toml --train.run ended --train.steps 3 --device cpu >output 2>&1 || fail "ended with $?"
grep -q '2 ranks on 1 host' output || fail 'there were not two ranks'
[ -d ended/ckpt/000000003 ] || fail 'there is no checkpoint'

rm output # or the steps of the run before would be taken for those of this one
set -m # a background job without job control would ignore INT
launch/local.sh -n 2 train run.toml --train.run stopped --train.minutes 9 >output 2>&1 &
pid=$!
set +m
until grep -qs "^step" output; do kill -0 "$pid" || fail 'it ended before the first step'; sleep 0.1; done
kill -INT "$pid"
status=0
wait "$pid" || status=$?
[ "$status" -eq 75 ] || fail "a stopped run ended with $status"
compgen -G 'stopped/ckpt/[0-9]*' >/dev/null || fail 'it did not save'
echo "local.sh trained and stopped"
