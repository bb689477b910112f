#!/usr/bin/env bash
# Changes the cable of a host of the test bed while it is in use.
#
#   link.sh HOST down|up|RATE|none      cut, mend, limit (as tc writes rates, such as 10mbit), do not limit
set -euo pipefail
host=${1-}
change=${2-}
if [ $# -ne 2 ] || [ ! -r "/run/testbed/hosts/$host" ]; then
  echo "usage, on a host of a test bed: link.sh HOST down|up|RATE|none" >&2
  exit 2
fi

# The switch stands in the namespaces of the first process.
at_switch() { nsenter --target 1 --net -- "$@"; }
at_host() { nsenter --target "$(cat "/run/testbed/hosts/$host")" --net -- "$@"; }

case $change in
  down | up)
    at_switch ip link set "$host" "$change"
    ;;
  none)
    at_switch tc qdisc replace dev "$host" root pfifo
    at_host tc qdisc replace dev eth0 root pfifo
    ;;
  *)
    # What leaves the switch goes to the host, and the other way round: both are limited. A burst is what a
    # network card would send in one go, the latency how long a packet may queue before it is dropped.
    at_switch tc qdisc replace dev "$host" root tbf rate "$change" burst 128kb latency 200ms
    at_host tc qdisc replace dev eth0 root tbf rate "$change" burst 128kb latency 200ms
    ;;
esac
