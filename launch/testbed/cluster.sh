#!/usr/bin/env bash
# Makes several hosts out of one machine and runs a command on the first of them, n1:
#
#   launch/testbed/cluster.sh [--hosts N] [--slots N] [--rate RATE] COMMAND [ARGUMENT...]
#   launch/testbed/cluster.sh --hosts 3 --rate 200mbit mpirun build/release/motley train run.toml
#
# A host is a set of namespaces: its own network card, name, mounts and /dev/shm, joined to the others by a
# switch whose cables carry RATE in each direction (as tc writes it; default: unlimited). A mpirun without a
# host file starts --slots ranks (default 1) on each of --hosts hosts (default 3). On any host
#
#   on.sh HOST COMMAND...           runs a command on another host, as ssh would
#   link.sh HOST down|up|RATE|none  cuts, mends, limits or frees a host's cable
#
# It needs root, or a kernel that gives ordinary users namespaces. Exits with the command's code, or with 77
# and a reason where the machine cannot do it. Whatever ends this script, also SIGKILL, ends all that it
# started: the hosts share a process namespace of their own, and the kernel clears up what was in it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
PATH=$PATH:/usr/sbin:/sbin

usage() {
  sed -n '2,/^set -euo/ { /^set/d; s/^# \{0,1\}//; p }' "$0" >&2
  exit 2
}

skip() {
  echo "testbed: skipped: $*" >&2
  exit 77
}

# Finds out how this user gets namespaces; sets the array `namespaces`.
find_namespaces() {
  local problem
  namespaces=(--net --uts --mount --pid --fork --kill-child --mount-proc)
  problem=$(unshare "${namespaces[@]}" true 2>&1) && return
  namespaces+=(--user --map-root-user)
  unshare "${namespaces[@]}" true 2>/dev/null || skip "no namespaces (${problem}); run it as root"
}

hosts=3
slots=1
rate=none
while [ $# -gt 0 ]; do
  case $1 in
    --hosts) hosts=${2-}; shift 2 || usage ;;
    --slots) slots=${2-}; shift 2 || usage ;;
    --rate) rate=${2-}; shift 2 || usage ;;
    -*) usage ;;
    *) break ;;
  esac
done
if [ $# -eq 0 ] || ! [[ $hosts =~ ^[1-9][0-9]?$ && $slots =~ ^[1-9][0-9]?$ ]]; then usage; fi

for tool in ip tc unshare nsenter setpriv; do
  command -v "$tool" >/dev/null || skip "'$tool' was not found; install iproute2 and util-linux"
done
find_namespaces

# unshare ignores SIGTERM, so this shell stays and passes it on as SIGKILL; should the shell be killed itself,
# --pdeathsig ends unshare, and --kill-child what runs in the namespaces.
setpriv --pdeathsig KILL -- unshare "${namespaces[@]}" -- "$here/hosts.sh" "$hosts" "$slots" "$rate" "$@" <&0 &
inside=$!
trap 'kill -KILL "$inside" 2>/dev/null || true; exit 143' TERM INT HUP
code=0
wait "$inside" || code=$?
exit "$code"
