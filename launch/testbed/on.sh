#!/usr/bin/env bash
# Runs a command on a host of the test bed, as ssh would: in a fresh environment, in the home directory, its
# words joined and given to a shell. On the hosts it is also called ssh, so that mpirun and launch/ssh.sh find it.
#
#   on.sh [SSH_OPTION...] HOST COMMAND...
set -euo pipefail
while [[ ${1-} == -* ]]; do
  if [[ $1 == -[oplieF] ]]; then shift 2; else shift; fi
done
host=${1-}
if [ $# -lt 2 ] || [ ! -r "/run/testbed/hosts/$host" ]; then
  echo "on.sh: '$host' is not a host of a test bed, or no command follows; see cluster.sh" >&2
  exit 255
fi
shift
exec nsenter --target "$(cat "/run/testbed/hosts/$host")" --net --uts --mount --wd="$HOME" -- env -i \
  HOME="$HOME" USER="${USER-root}" SHELL=/bin/bash PATH="$PATH" TMPDIR=/run/testbed/tmp bash -c "$*"
