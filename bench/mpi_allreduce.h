// What MPI offers for summing a vector over ranks, for comparison with ours. Of the benchmarks,
// only this sees MPI.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "dist/communicator.h"

namespace motley::bench {

/// To be called before MPI starts: lets Open MPI's algorithms be chosen while a program runs.
void allow_choice_of_algorithm();

/// MPI_Allreduce with one of its algorithms.
class MpiAllreduce {
 public:
  /// Collective. algorithm: as numbered by Open MPI's coll_tuned_allreduce_algorithm; 0: whichever
  /// the library chooses. Throws ConfigError when this MPI library does not let it be chosen.
  MpiAllreduce(Communicator& comm, int algorithm);
  MpiAllreduce(const MpiAllreduce&) = delete;
  MpiAllreduce& operator=(const MpiAllreduce&) = delete;
  ~MpiAllreduce();

  /// On the communication thread: `values` becomes the sum over all ranks.
  void sum(std::span<float> values);

 private:
  struct Handle;
  std::unique_ptr<Handle> handle_;
};

/// "Open MPI v4.1.4, ..."
std::string mpi_library();

}  // namespace motley::bench
