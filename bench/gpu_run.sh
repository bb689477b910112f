# shellcheck shell=bash disable=SC2154
# `bench/gpu.sh run`: sourced by it. Unpacks a bundle, makes an environment in which its programs find their libraries
# and the machine's OpenCL driver, and runs the stages of bench/gpu_stages.sh; each step has a time limit and a log, and
# what one does or breaks does not stop the others.
#
# Uses: root, fail(). Sets for the stages: bundle, release, work, own, nvidia_driver, device, small, test_pattern, deadline.

all_stages=(environment devices probes tests speed train peer)

parse_run() {
  package=''
  results=$PWD/gpu-results
  device=auto
  small=no
  test_pattern=.
  local minutes=9 only=''
  while [ $# -gt 0 ]; do
    case "$1" in
      -o | --only | --minutes | --device | --tests)
        [ $# -ge 2 ] || fail "$1 needs a value"
        case "$1" in
          -o) results=$2 ;;
          --only) only=$2 ;;
          --minutes) minutes=$2 ;;
          --device) device=$2 ;;
          --tests) test_pattern=$2 ;;
        esac
        shift 2
        ;;
      --small) small=yes; shift ;;
      -*) fail "unknown argument '$1'" ;;
      *) package=$1; shift ;;
    esac
  done
  stages=("${all_stages[@]}")
  [ -z "$only" ] || IFS=, read -r -a stages <<<"$only"
  local stage
  for stage in "${stages[@]}"; do
    [[ " ${all_stages[*]} " == *" $stage "* ]] || fail "there is no stage '$stage', but ${all_stages[*]}"
  done
  [[ $minutes =~ ^[0-9]+$ ]] || fail "--minutes takes a whole number, not '$minutes'"
  deadline=$((SECONDS + minutes * 60))
}

# Puts the directory of a bundle into `bundle`, unpacked where nobody minds. Python serves where tar lacks xz.
open_bundle() {
  local package=$1 to
  if [ -z "$package" ]; then
    bundle=$root
  elif [ -d "$package" ]; then
    bundle=$(cd "$package" && pwd)
  else
    [ -r "$package" ] || fail "there is no bundle '$package'"
    to=$(mktemp -d "${TMPDIR:-/tmp}/motley-gpu.XXXXXX")
    unpacked=$to
    tar -C "$to" -xf "$package" 2>/dev/null || python3 -m tarfile -e "$package" "$to" ||
      fail "'$package' could not be unpacked: neither tar with xz nor python3 did"
    bundle=$to/motley-gpu
  fi
  [ -f "$bundle/BUILD" ] || fail "'$bundle' is no bundle; make one with bench/gpu.sh bundle"
}

# NVIDIA's OpenCL library; drivers that are mounted into containers are often known to nobody, and may lack links.
find_nvidia_driver() {
  local folder search=${LD_LIBRARY_PATH-}
  # shellcheck disable=SC2086 # several folders
  for folder in $(PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null |
    sed -n 's|.*=> \(/.*\)/libnvidia-opencl\.so\.1$|\1|p') ${search//:/ } /usr/local/nvidia/lib64 /usr/local/nvidia/lib \
    /usr/lib/x86_64-linux-gnu /usr/lib64 /usr/lib/wsl/lib; do
    find "$folder/" -maxdepth 1 -name 'libnvidia-opencl.so.*' 2>/dev/null | sort | head -n 1
  done | head -n 1
}

# A directory with the machine's .icd files, and one for NVIDIA's library where that is all there is.
gather_vendors() {
  mkdir -p "$work/vendors"
  cp /etc/OpenCL/vendors/*.icd "$work/vendors/" 2>/dev/null || true
  nvidia_driver=$(find_nvidia_driver || true)
  if [ -n "$nvidia_driver" ]; then
    # By its path: a file of the machine's names it without, and the loader may not look there.
    grep -l nvidia "$work"/vendors/*.icd 2>/dev/null | xargs -r rm || true
    echo "$nvidia_driver" >"$work/vendors/nvidia.icd"
  fi
}

# Sets `own`, the command with which the bundle's programs start: alone they get its libraries, for the machine's
# python or awk may not bear them. The compiler's libraries are the machine's if it has some that are new enough.
settle_environment() {
  release=$bundle/build/release
  local libraries=$bundle/lib${nvidia_driver:+:${nvidia_driver%/*}}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} said
  if ! LD_LIBRARY_PATH=$libraries "$release/motley" --version >/dev/null 2>&1; then
    libraries=$bundle/lib/gcc:$libraries
  fi
  if ! said=$(LD_LIBRARY_PATH=$libraries "$release/motley" --version 2>&1); then
    fail "the bundle's program does not start here: $said
its glibc is $(sed -n 's/^glibc *//p' "$bundle/BUILD") and the machine's must not be older; build it on an older system"
  fi
  local mpi=$bundle/openmpi
  own=(env "LD_LIBRARY_PATH=$libraries" "PATH=$mpi/bin:$PATH" "OCL_ICD_VENDORS=$work/vendors"
    "XDG_CACHE_HOME=$work/cache" "POCL_CACHE_DIR=$work/cache/pocl" "CUDA_CACHE_PATH=$work/cache/cuda"
    "OPAL_PREFIX=$mpi" "OPAL_BINDIR=$mpi/bin" "OPAL_LIBDIR=$mpi/lib" "OPAL_PKGLIBDIR=$mpi/lib/openmpi"
    "OPAL_DATADIR=$mpi/share" "OPAL_PKGDATADIR=$mpi/share/openmpi" "OPAL_SYSCONFDIR=$mpi/etc"
    # No ssh is needed on one machine, and none may be there.
    OMPI_MCA_plm=isolated OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
    OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1)
  mkdir -p "$work/cache/pocl" "$work/cache/cuda"
}

# step NAME SECONDS COMMAND...: runs it, at most so long and not beyond the deadline; its output goes to NAME.log. A
# line of steps.tsv says how it ended. Returns its status.
step() {
  local name=$1 limit=$2 left=$((deadline - SECONDS)) status=0 began=$SECONDS word=ok
  shift 2
  [ "$small" = no ] || limit=$((limit * 5)) # on a CPU that others may be using
  if [ "$left" -lt 2 ]; then
    printf '%s\tno time left\t0\n' "$name" >>"$work/steps.tsv"
    return 125
  fi
  [ "$limit" -lt "$left" ] || limit=$left
  echo "== $name" >&2
  timeout -k 5 "$limit" "$@" >"$work/logs/$name.log" 2>&1 </dev/null || status=$?
  case $status in
    0) ;;
    124 | 137) word="stopped after $limit s" ;;
    *) word="FAILED ($status)" ;;
  esac
  printf '%s\t%s\t%s\n' "$name" "$word" $((SECONDS - began)) >>"$work/steps.tsv"
  return $status
}

# finding TEXT...: a line of the summary.
finding() {
  echo "$*" >>"$work/findings.md"
}

write_results() {
  {
    echo "# Motley on ${title:-a machine without a device}"
    echo
    date -u '+%-d %B %Y, %H:%M UTC'
    echo '```'
    cat "$bundle/BUILD"
    echo '```'
    cat "$work/findings.md"
    printf '\n## Steps\n\n| step | result | seconds |\n| --- | --- | --- |\n'
    awk -F '\t' '{ printf "| %s | %s | %s |\n", $1, $2, $3 }' "$work/steps.tsv"
  } >"$results/summary.md"
  [ ! -s "$work/probes.jsonl" ] || cp "$work/probes.jsonl" "$results/"
  tar -C "$work" -czf "$results/logs.tar.gz" logs steps.tsv findings.md
}

run_bundle() {
  local stage title
  parse_run "$@"
  trap 'clean_up' EXIT
  open_bundle "$package"
  # shellcheck source=bench/gpu_stages.sh
  . "$bundle/bench/gpu_stages.sh"
  mkdir -p "$results"
  results=$(cd "$results" && pwd)
  work=$(mktemp -d "${TMPDIR:-/tmp}/motley-gpu-work.XXXXXX")
  mkdir "$work/logs"
  : >"$work/findings.md"
  : >"$work/steps.tsv"
  gather_vendors
  settle_environment
  title=$(timeout 60 "${own[@]}" "$release/motley" devices 2>/dev/null | sed -n 's/^0  [a-z]*  //p') || true
  for stage in "${stages[@]}"; do
    "stage_$stage" || finding "The stage $stage broke off with $?."
    write_results
  done
  cat "$results/summary.md"
}

work='' unpacked=''
clean_up() {
  [ -z "$work" ] || remove_links
  rm -rf ${work:+"$work"} ${unpacked:+"$unpacked"}
}
