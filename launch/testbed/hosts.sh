#!/usr/bin/env bash
# The inside of cluster.sh, as the first process of its namespaces: makes a switch and the hosts around it, and
# runs a command on n1. Not for use by hand.
#
#   hosts.sh HOSTS SLOTS RATE COMMAND [ARGUMENT...]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
hosts=$1 slots=$2 rate=$3
shift 3
state=/run/testbed

skip() {
  echo "testbed: skipped: $*" >&2
  exit 77
}

# The machine's own /run keeps its contents: this mount is seen in these namespaces only, and gone with them.
# So TMPDIR lies there. It is the hosts' shared file system, besides all of the machine's.
prepare_files() {
  mount -t tmpfs tmpfs /run || skip "a file system cannot be mounted; run it as root"
  mkdir -p "$state/hosts" "$state/tmp" "$state/own" "$state/bin"
  ln -s "$here/on.sh" "$state/bin/ssh"
  mkfifo "$state/started"
  echo "127.0.0.1 localhost" >"$state/names"
  local i
  for i in $(seq "$hosts"); do
    echo "10.77.0.$i n$i" >>"$state/names"
    echo "n$i slots=$slots" >>"$state/hostfile"
  done
  mount --bind "$state/names" /etc/hosts
}

# Hosts speak TCP as most systems do, whatever this machine has chosen for itself: by cubic, or, where namespaces may
# not have that, by the one that all may have.
set_congestion_control() {
  local control
  for control in cubic reno; do
    if nsenter --target "$1" --net bash -c \
      "echo $control >/proc/sys/net/ipv4/tcp_congestion_control" 2>/dev/null; then
      return
    fi
  done
}

# A host is a process that sleeps in its namespaces; its id is the host's handle.
start_host() {
  local name=$1 address=$2 pid
  # shellcheck disable=SC2016 # $1, $2, $3 and $$ are those of the new shell
  unshare --net --uts --mount bash -c '
    set -e
    hostname "$1"
    mount -t tmpfs tmpfs /dev/shm
    mount -t tmpfs tmpfs "$2"
    echo "$$" >"$3"
    exec sleep infinity' host "$name" "$state/own" "$state/started" </dev/null &
  read -r -t 20 pid <>"$state/started" || skip "host $name did not start"
  echo "$pid" >"$state/hosts/$name"
  ip link add "$name" type veth peer name eth0 netns "$pid" || skip "this kernel has no veth"
  ip link set "$name" master switch up
  nsenter --target "$pid" --net ip link set lo up
  nsenter --target "$pid" --net ip address add "$address/24" dev eth0
  nsenter --target "$pid" --net ip link set eth0 up
  set_congestion_control "$pid"
  "$here/link.sh" "$name" "$rate" || skip "the rate '$rate' cannot be set by tc (tbf)"
}

# What every mpirun here needs to know: our own settings for Open MPI, and where the hosts are.
export_mpi_settings() {
  local name value
  while IFS='= ' read -r name value; do
    case $name in '' | '#'*) ;; *) export "OMPI_MCA_$name=$value" ;; esac
  done <"$here/../openmpi-mca-params.conf"
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
  export OMPI_MCA_plm=rsh OMPI_MCA_orte_default_hostfile=$state/hostfile
  export OMPI_MCA_orte_tmpdir_base=$state/own  # a killed mpirun leaves its session there, on each host
  export OMPI_MCA_pml=ob1 OMPI_MCA_btl=self,vader,tcp
  export OMPI_MCA_btl_tcp_if_include=10.77.0.0/24 OMPI_MCA_oob_tcp_if_include=10.77.0.0/24
}

prepare_files
ip link set lo up
ip link add switch type bridge || skip "this kernel has no bridge"
ip link set switch up
for i in $(seq "$hosts"); do start_host "n$i" "10.77.0.$i"; done
export_mpi_settings
export PATH=$state/bin:$here:$PATH TMPDIR=$state/tmp
# Not exec: the first process has to take in orphans.
code=0
nsenter --target "$(cat "$state/hosts/n1")" --net --uts --mount --wd=. -- "$@" || code=$?
exit "$code"
