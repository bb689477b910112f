#!/usr/bin/env bash
# The test bed itself: hosts have their own names and networks, the command's exit code comes through, and
# nothing is left of a cluster that was killed.
#
#   testbed_test.sh TESTBED_DIRECTORY
set -euo pipefail
cluster=$1/cluster.sh
marker=98765.$$  # seconds that only the sleeping processes of this test were given
failed=0

check() {
  local what=$1 wanted=$2 got=$3
  [ "$got" = "$wanted" ] && return
  echo "$what: expected '$wanted', got '$got'"
  failed=1
}

# Everything of the machine that a cluster could change.
machine() {
  ip -brief link | sed 's/@.*//' | sort
  hostname
  cat /etc/hosts
  find /run /dev/shm "${TMPDIR:-/tmp}" -maxdepth 1 \( -name '*testbed*' -o -name 'ompi.n[0-9]*' \)
}

code=0
"$cluster" true || code=$?
[ "$code" -eq 77 ] && exit 77
check "a command that succeeds" 0 "$code"
before=$(machine)

code=0
"$cluster" --hosts 1 sh -c 'exit 42' || code=$?
check "exit code" 42 "$code"
check "hosts of a launch" "n1 n2 n2 n3" \
  "$("$cluster" --hosts 3 sh -c 'on.sh n2 hostname; mpirun hostname' | sort | xargs)"
check "a fresh environment on another host" "" "$(FOREIGN=1 "$cluster" --hosts 2 on.sh n2 printenv FOREIGN)"
check "a cable that was cut and mended" "DOWN UP" \
  "$("$cluster" --hosts 2 bash -c '
    state() { on.sh n2 ip -brief link show eth0 | tr -s " " | cut -d" " -f2; }
    link.sh n2 down; state; link.sh n2 up; state' | sed 's/LOWERLAYERDOWN/DOWN/' | xargs)"
check "a rate that is changed" "5Mbit" \
  "$("$cluster" --hosts 2 --rate 100mbit bash -c '
    link.sh n2 5mbit; on.sh n2 tc qdisc show dev eth0' | sed 's/.*rate \([^ ]*\) .*/\1/')"

# A user without rights, in a world of his own.
if unshare --user true 2>/dev/null; then
  code=0
  reason=$(unshare --user "$cluster" true 2>&1) || code=$?
  check "exit code without rights" 77 "$code"
  check "the reason" "testbed: skipped: no namespaces" "${reason% (*}"
fi

for signal in TERM KILL; do
  "$cluster" --hosts 3 mpirun sleep "$marker" &
  while [ "$(pgrep -fc "^sleep $marker")" -lt 3 ]; do sleep 0.05; done
  kill -"$signal" $!
  wait $! || true
  # The kernel ends what is in the namespaces at once, but not in no time. CTest's limit ends this loop.
  while pgrep -f "$marker" >/dev/null; do sleep 0.05; done
  check "the machine after SIG$signal" "$before" "$(machine)"
done
exit "$failed"
