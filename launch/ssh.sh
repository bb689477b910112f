#!/usr/bin/env bash
# Runs a command of motley on the hosts of a host file, over ssh. Before mpirun starts, every host must let us in
# without a password and have the same program at the same path. Open MPI is told which network joins the hosts:
# one with several networks may hang else.
#
#   launch/ssh.sh HOSTFILE [--subnet 192.168.1.0/24] [--dry-run] COMMAND [ARGUMENT...]
#   launch/ssh.sh hosts train /data/run.toml
#
# A host file has a line for each host, with its number of ranks (see hostfile.example). Paths that are given to
# motley must be absolute.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=launch/lib.sh
. "$here/lib.sh"

usage() {
  sed -n '2,10s/^# \{0,1\}//p' "$0"
}
is_subnet() {
  local octet='(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])'
  [[ $1 =~ ^$octet(\.$octet){3}/(3[0-2]|[12]?[0-9])$ ]]
}
case "${1:-}" in
  --help | -h) usage; exit 0 ;;
  '' | -*) fail 2 "name a host file first; see $0 --help" ;;
esac
hostfile=$1 subnet='' dry_run=0
shift
while [ $# -gt 0 ]; do
  case "$1" in
    --subnet)
      subnet=${2:-}
      is_subnet "$subnet" || fail 2 "--subnet needs an IPv4 network such as 192.168.1.0/24, not '$subnet'"
      shift 2
      ;;
    --dry-run) dry_run=1; shift ;;
    -*) fail 2 "unknown option '$1'; see $0 --help" ;;
    *) break ;;
  esac
done
[ $# -gt 0 ] || fail 2 "name a command of motley, such as: $0 $hostfile train /data/run.toml"
if ! [ -f "$hostfile" ] || ! [ -r "$hostfile" ]; then fail 3 "cannot read the host file '$hostfile'"; fi

hosts=() total=0
# Fills `hosts` and `total`.
read_hostfile() {
  local line host slots number=0
  while read -r line || [ -n "$line" ]; do
    number=$((number + 1))
    line=${line%%#*}
    [[ $line =~ [^[:space:]] ]] || continue
    read -r host slots <<<"$line"
    [[ $slots =~ ^slots=([1-9][0-9]{0,4})[[:space:]]*$ ]] ||
      fail 2 "$hostfile:$number: '$line' does not say how many ranks; write '$host slots=N', N from 1 to 99999 as motley devices" \
        "--count says there (Open MPI would take the number of cores)"
    total=$((total + BASH_REMATCH[1]))
    [[ " ${hosts[*]-} " != *" $host "* ]] || fail 2 "$hostfile:$number: $host stands there twice"
    hosts+=("$host")
  done <"$hostfile"
  [ "${#hosts[@]}" -gt 0 ] || fail 2 "$hostfile names no host"
}

is_here() {
  [ "$1" = localhost ] || [ "$1" = "$(hostname)" ] || [ "$1" = "$(hostname -s)" ]
}

# An IPv4 address as a number.
to_number() {
  local a b c d
  IFS=. read -r a b c d <<<"$1"
  echo $(((a << 24) + (b << 16) + (c << 8) + d))
}

# The first network of this host that all given addresses lie in, as 192.168.1.0/24; nothing if there is none.
common_subnet() {
  local line cidr length mask base address number all
  while read -r line; do
    cidr=${line#* inet } cidr=${cidr%% *}
    length=${cidr#*/}
    mask=$(((0xFFFFFFFF << (32 - length)) & 0xFFFFFFFF))
    base=$(($(to_number "${cidr%/*}") & mask))
    all=1
    for address in "$@"; do
      number=$(to_number "$address")
      [ $((number & mask)) -eq "$base" ] || all=0
    done
    if [ "$all" -eq 1 ]; then
      echo "$((base >> 24)).$((base >> 16 & 255)).$((base >> 8 & 255)).$((base & 255))/$length"
      return
    fi
  done < <(ip -o -4 addr show scope global)
}

choose_subnet() {
  local host address addresses=()
  for host in "${hosts[@]}"; do
    address=$(getent ahostsv4 "$host" | awk 'NR == 1 { print $1 }') || true
    [ -n "$address" ] || fail 3 "the name $host of $hostfile is not known here; add it to /etc/hosts or the DNS"
    # Debian gives a host's own name a loopback address, which tells nothing.
    [[ $address == 127.* ]] || addresses+=("$address")
  done
  [ "${#addresses[@]}" -gt 0 ] || return 0
  command -v ip >/dev/null || fail 3 "the program ip is missing: apt install iproute2, or give --subnet"
  subnet=$(common_subnet "${addresses[@]}")
  [ -n "$subnet" ] || fail 3 "no network of this host holds all of ${addresses[*]}; name the one that joins the" \
    "hosts with --subnet, or write the hosts' addresses in that network into $hostfile"
}

# Asks one host for the program's hash; what is wrong goes to standard output.
check_host() {
  local host=$1 answer
  if ! answer=$(ssh -o BatchMode=yes -o ConnectTimeout=10 "$host" "sha256sum $(printf %q "$motley")" 2>&1); then
    echo "  $host: $answer"
  elif [ "${answer%% *}" != "$hash" ]; then
    echo "  $host: $motley is another build"
  fi
}

check_hosts() {
  local host problems
  hash=$(sha256sum "$motley") hash=${hash%% *}
  problems=$(
    for host in "${hosts[@]}"; do
      is_here "$host" || check_host "$host" &
    done
    wait
  )
  [ -z "$problems" ] || fail 3 "not every host is ready:
$problems
  fix: ssh-copy-id HOST (ssh must not ask for a password), and copy the program with its shared libraries'
  packages to the same path: rsync -a $motley HOST:$motley"
}

read_hostfile
motley=$(find_motley "${here%/*}")
[ -n "$subnet" ] || choose_subnet
read_mca_options "$here/openmpi-mca-params.conf"
command=(mpirun --hostfile "$hostfile" -n "$total" --map-by slot --bind-to none "${mca_options[@]}")
[ -z "$subnet" ] || command+=(--mca btl_tcp_if_include "$subnet" --mca oob_tcp_if_include "$subnet")
command+=("$motley" "$@")
if [ "$dry_run" -eq 1 ]; then
  print_command "${command[@]}"
  exit 0
fi
check_hosts
echo "$total ranks on ${#hosts[@]} hosts${subnet:+ over $subnet}" >&2
run_forwarding "${command[@]}"
