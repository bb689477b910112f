// Ranks as processes under MPI, of which point-to-point messages alone are used: for large vectors
// MPI libraries choose collectives that send up to four times what is needed and whose order of
// summation changes with the number of ranks.
#pragma once

#include <mpi.h>

#include "dist/communicator.h"

namespace motley {

/// All MPI calls come from the communication thread, which must be the one that initialised MPI
/// (MPI_THREAD_FUNNELED suffices). Sizes may pass 2^31: long messages travel in parts. Ranks must
/// have the same byte order.
class MpiComm final : public Communicator {
 public:
  /// Open MPI sends messages of less than 64 KiB over TCP at once. Longer ones wait until the other
  /// side has answered, and that answer queues behind all data that is on its way: over a busy link
  /// of 200 Mbit/s, messages of 1 MiB reach two thirds of the speed of these
  /// (bench/bench_comm.cpp).
  static constexpr std::size_t default_message_bytes = std::size_t{60} << 10;

  /// Collective. `comm` and `thread` must outlive this object, and `comm` carry no other traffic
  /// meanwhile. message_bytes: the longest message, the same on all ranks.
  MpiComm(CommThread& thread, MPI_Comm comm, std::size_t message_bytes = default_message_bytes);

  std::unique_ptr<Transfers> transfers() override;
  /// For what else needs messages of its own (see heartbeat.h): duplicate it on the communication
  /// thread.
  MPI_Comm handle() const { return comm_; }
  CommThread& thread() const { return *thread_; }

 private:
  CommThread* thread_;
  MPI_Comm comm_;
  std::size_t message_bytes_;
};

/// Throws CommError unless `code` is MPI_SUCCESS. who: "rank 3 on node1".
void check_mpi(int code, const char* call, const std::string& who);

}  // namespace motley
