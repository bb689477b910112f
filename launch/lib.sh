# shellcheck shell=bash
# What local.sh, ssh.sh and the batch scripts share. Sourced by them, after `set -euo pipefail`.

# fail EXIT_CODE MESSAGE...: the exit codes are the program's: 2 usage, 3 environment.
fail() {
  local code=$1
  shift
  echo "error: $*" >&2
  exit "$code"
}

# The program: the one built here, else the one on PATH; as an absolute path, for other hosts need it.
find_motley() {
  local built=$1/build/release/motley
  if [ -x "$built" ]; then
    echo "$built"
  elif ! command -v motley; then
    fail 3 "there is no $built and no motley on PATH; build it (README.md, 'The same by hand') or set PATH"
  fi
}

# Puts the parameters of a file like openmpi-mca-params.conf into the array mca_options, for mpirun's command
# line, so that they need not be installed on every host.
read_mca_options() {
  local name value
  mca_options=()
  while IFS='= ' read -r name value || [ -n "$name" ]; do
    case "$name" in '' | '#'*) continue ;; esac
    mca_options+=(--mca "$name" "$value")
  done <"$1"
}

# One setting of a training run as `motley config show` resolves it from a file and flags: resolved_setting
# MOTLEY KEY [CONFIG.toml] [--section.key value ...]. Fails, with the program's message, for wrong settings.
resolved_setting() {
  local motley=$1 key=$2 shown
  shift 2
  shown=$("$motley" config show "$@") || return
  sed -n "s/^$key = \"\\(.*\\)\" *#.*/\\1/p" <<<"$shown"
}

# The devices that a command line asks for: device_spec MOTLEY COMMAND [ARGUMENT...].
device_spec() {
  local motley=$1 command=$2 spec=auto
  shift 2
  if [ "$command" = train ]; then
    resolved_setting "$motley" use "$@"
    return
  fi
  while [ $# -gt 0 ]; do
    case "$1" in
      --device=*) spec=${1#*=} ;;
      --device) spec=${2:-auto} ;;
    esac
    shift
  done
  echo "$spec"
}

# Puts into the array `arguments` what a batch job runs: the given command, and for `train` in a job that was put
# back into the queue the flag to resume. A run that was started and never saved begins anew.
restart_arguments() {
  local motley=$1 argument run
  shift
  arguments=("$@")
  if [ "$1" != train ] || [ "${SLURM_RESTART_COUNT:-0}" -eq 0 ]; then return; fi
  arguments=()
  for argument in "$@"; do
    case "$argument" in
      --train.overwrite | --overwrite | --train.resume | --resume) ;;
      *) arguments+=("$argument") ;;
    esac
  done
  run=$(resolved_setting "$motley" run "${arguments[@]:1}") || return
  if compgen -G "$run/ckpt/[0-9]*" >/dev/null; then
    arguments+=(--train.resume)
  elif [ -e "$run/config.toml" ]; then
    arguments+=(--train.overwrite)
  fi
}

# Prints a command so that it can be pasted into a shell.
print_command() {
  printf '%q ' "$@"
  echo
}

# Runs mpirun in a process group of its own, away from the terminal's signals, and returns its exit status. INT,
# TERM, USR1 and USR2 reach the ranks as USR2, which mpirun passes on: they save and end with 75. On INT and TERM
# mpirun itself would give them a second. A second INT or TERM is meant like that.
run_forwarding() {
  local pid status interrupted=1 asked=0
  set -m
  "$@" </dev/null &
  pid=$!
  set +m
  # shellcheck disable=SC2317 # called by the traps
  forward() {
    interrupted=1
    if [ "$1" = end ] && [ "$asked" -eq 1 ]; then
      kill -TERM "$pid" 2>/dev/null || true
    else
      echo "asking the ranks to save and stop${2:-}" >&2
      kill -USR2 "$pid" 2>/dev/null || true
    fi
    [ "$1" != end ] || asked=1
  }
  trap 'forward end " (again to end at once)"' INT TERM
  trap 'forward save' USR1 USR2
  status=127
  while [ "$interrupted" -eq 1 ]; do # a trap ends wait early
    interrupted=0
    local now=0
    wait "$pid" || now=$?
    [ "$now" -eq 127 ] || status=$now # 127: wait has already told
  done
  trap - INT TERM USR1 USR2
  return "$status"
}
