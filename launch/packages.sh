# shellcheck shell=bash
# The Debian 12 packages Motley needs, and how they are installed. Sourced by quickstart.sh and test.sh.

# What it takes to build and run.
build_packages=(
  ca-certificates cmake g++ ninja-build pkg-config
  libopenmpi-dev openmpi-bin
  ocl-icd-libopencl1 ocl-icd-opencl-dev opencl-clhpp-headers opencl-headers pocl-opencl-icd
  libclblast-dev libcxxopts-dev libeigen3-dev libfmt-dev libpcre2-dev libspdlog-dev
  libtomlplusplus-dev libxxhash-dev nlohmann-json3-dev
)
# What the tests need besides.
test_packages=(
  clang clang-format clang-tidy git iproute2 jargon-text libclang-rt-14-dev libgtest-dev oclgrind shellcheck
)

# Runs a command as root, through sudo where we are not root.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    echo "error: '$*' needs root; run this script as root or install sudo" >&2
    return 3
  fi
}

# Installs those of the given packages that are missing.
install_packages() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done
  [ "${#missing[@]}" -eq 0 ] && return
  echo "== installing ${missing[*]}"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

install_build_packages() {
  install_packages "${build_packages[@]}"
}

# All that building and testing need.
install_test_packages() {
  install_packages "${build_packages[@]}" "${test_packages[@]}"
}

# Open MPI refuses to run as root unless told twice. These scripts may be run as root in a container; your own
# jobs should not be.
allow_mpi_as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
  fi
}
