#!/usr/bin/env bash
# Runs a command of motley on this machine with one rank for each device: each GPU, or, without any, each NUMA
# node of the CPU. Ctrl-C makes the ranks save and stop; a second one ends them at once.
#
#   launch/local.sh [-n RANKS] [--dry-run] COMMAND [ARGUMENT...]
#   launch/local.sh train run.toml --device gpu
#   launch/local.sh doctor
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=launch/lib.sh
. "$here/lib.sh"

ranks='' dry_run=0
while [ $# -gt 0 ]; do
  case "$1" in
    -n)
      ranks=${2:-}
      [[ $ranks =~ ^[1-9][0-9]*$ ]] || fail 2 "-n needs a number of ranks"
      shift 2
      ;;
    --dry-run) dry_run=1; shift ;;
    --help | -h) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) fail 2 "unknown option '$1'; see $0 --help" ;;
    *) break ;;
  esac
done
[ $# -gt 0 ] || fail 2 "name a command of motley, such as: $0 train run.toml"

motley=$(find_motley "${here%/*}")
if [ -z "$ranks" ]; then
  spec=$(device_spec "$motley" "$@")
  count=("$motley" devices --count --device "${spec:-auto}")
  if [ "$1" = doctor ]; then # it is for where devices cannot be counted, or a driver hangs
    ranks=$(timeout 60 "${count[@]}" 2>/dev/null) || ranks=1
  else
    ranks=$("${count[@]}")
  fi
fi
read_mca_options "$here/openmpi-mca-params.conf"
# Slots are devices here, not cores, so this host is said to have as many as there are ranks.
command=(mpirun --host "localhost:$ranks" -n "$ranks" --bind-to none "${mca_options[@]}" "$motley" "$@")
if [ "$dry_run" -eq 1 ]; then
  print_command "${command[@]}"
  exit 0
fi
run_forwarding "${command[@]}"
