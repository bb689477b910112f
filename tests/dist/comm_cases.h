// What every communicator must do, once: the same cases run on one process, on threads and under
// mpirun.
#pragma once

#include <string>
#include <vector>

#include "dist/communicator.h"

namespace motley {

/// One property. `run` is called on every rank, which checks with EXPECT_*; a case must leave the
/// communicator usable for the next.
struct CommCase {
  std::string name;
  void (*run)(Communicator&);
};

const std::vector<CommCase>& comm_cases();

}  // namespace motley
