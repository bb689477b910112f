// GoogleTest on every rank of a job with one verdict: a test that fails or throws on one rank ends
// the job at once, with that rank's message, because the others may wait for it in a collective.
//
// Link motley_mpi_main instead of gtest_main (motley_test does so when it is given RANKS). Without
// mpirun the same program runs as one rank.
#pragma once

#include "dist/communicator.h"

namespace motley {

/// The communicator of all ranks of this test program.
Communicator& world();

}  // namespace motley
