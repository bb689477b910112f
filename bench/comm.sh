#!/usr/bin/env bash
# All figures of bench_comm that docs/scaling.md and docs/results/comm.md show: two ranks of this host, then hosts
# of the test bed (launch/testbed) with slow links. On an otherwise idle machine.
#
#   bench/comm.sh [BUILD_DIRECTORY] [RESULT_DIRECTORY]
#
# Writes a JSON file for each run into RESULT_DIRECTORY (default: BUILD_DIRECTORY/comm) and prints the tables.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=${1:-$root/build/release}
results=${2:-$build/comm}
bench=$build/bench/bench_comm
[ -x "$bench" ] || { echo "bench/comm.sh: '$bench' was not found; build it first" >&2; exit 2; }
mkdir -p "$results"

if [ "$(id -u)" -eq 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi

export OMPI_MCA_btl_tcp_sndbuf=65536 # as launch/openmpi-mca-params.conf

echo "== one host, 2 ranks"
mpirun -np 2 --bind-to none "$bench" --sizes 1,4,16,56,128,512 --repeats 11 --with-device >"$results/local.json"

for hosts in 3 4 6; do
  echo "== $hosts hosts, 200 Mbit/s"
  code=0
  "$root/launch/testbed/cluster.sh" --hosts "$hosts" --rate 200mbit mpirun "$bench" --sizes 4,16 --repeats 5 \
    --link-mbit 200 >"$results/hosts$hosts.json" || code=$?
  [ "$code" -eq 77 ] && break
  [ "$code" -eq 0 ] || exit "$code"
done
