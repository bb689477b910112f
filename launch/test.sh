#!/usr/bin/env bash
# Installs what the tests need, builds everything and runs the whole CTest suite.
#
#   launch/test.sh [CTEST_ARGUMENT...]      for example: launch/test.sh -L fast
set -euo pipefail
cd "$(dirname "$0")/.."
. launch/packages.sh

install_test_packages
allow_mpi_as_root
cmake --preset release -DMOTLEY_TESTS=ON -DMOTLEY_BENCH=ON -DMOTLEY_WERROR=ON >/dev/null
cmake --build --preset release -- --quiet
ctest --preset all --parallel "$(nproc)" "$@"
