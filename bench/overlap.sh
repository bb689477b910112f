#!/usr/bin/env bash
# One process with two cores against two ranks with one core each, on the reference workload, in turn. On an
# otherwise idle machine.
#
#   bench/overlap.sh [BUILD_DIRECTORY] [ROUNDS]
#
# A step has 8 sequences in all runs: one leaf of 8, or two leaves of 4, which are what two ranks compute. Four
# leaves of 2 show what exactness costs a rank that has several. The tables go to standard output.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=${1:-$root/build/release}
rounds=${2:-3}
bench=$build/bench/bench_overlap
[ -x "$bench" ] || { echo "bench/overlap.sh: '$bench' was not found; build it first" >&2; exit 2; }

if [ "$(id -u)" -eq 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi

# The tables alone.
table() { { "$@" >/dev/null; } 2>&1; }
two_ranks=(mpirun -np 2 --bind-to none "$bench")

for round in $(seq "$rounds"); do
  echo "== round $round"
  table "$bench" --leaves 1 --sequences 8
  table "${two_ranks[@]}" --leaves 2 --sequences 4
  table "$bench" --leaves 2 --sequences 4
  table "${two_ranks[@]}" --leaves 4 --sequences 2
done
