#!/usr/bin/env bash
# Motley on a machine with a GPU and without packages, compilers or a network: docs/gpu.md says how to use it.
#
#   bench/gpu.sh bundle [BUILD_DIRECTORY] [-o FILE.tar.xz | DIRECTORY]
#       Puts a release build, its tests and benchmarks, and every library that they need in one file.
#   bench/gpu.sh run [BUNDLE] [-o RESULTS] [--only STAGE,...] [--minutes 9] [--device auto] [--tests REGEX] [--small]
#       Runs it: the stages environment, devices, probes, tests, speed, train and peer, or those that are named. RESULTS
#       (default: gpu-results) gets summary.md, probes.jsonl and logs.tar.gz, after each stage anew. --small takes sizes
#       that a CPU can do. Without BUNDLE it is the unpacked one that this script lies in.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

usage() {
  sed -n '2,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}
fail() {
  echo "bench/gpu.sh: $*" >&2
  exit 2
}

case "${1-}" in
  bundle)
    shift
    # shellcheck source=bench/gpu_bundle.sh
    . "$root/bench/gpu_bundle.sh"
    make_bundle "$@"
    ;;
  run)
    shift
    # shellcheck source=bench/gpu_run.sh
    . "$root/bench/gpu_run.sh"
    run_bundle "$@"
    ;;
  --help | -h) usage ;;
  *) usage >&2; exit 2 ;;
esac
