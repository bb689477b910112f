// Ranks as processes under MPI. The reduction is ours: for large vectors MPI libraries choose
// algorithms that send up to four times what is needed and whose order of summation changes with
// the number of ranks.
#pragma once

#include <mpi.h>

#include "dist/communicator.h"

namespace motley {

/// Direct exchange: every rank sends each owner its part, in messages of bounded size, and the
/// owner adds the parts in rank order. Traffic is (p-1)/p of the vector each way, as in a ring,
/// with one rounding order. Waiting polls with a growing pause, because a spinning rank takes a
/// core from a device that computes on the same CPU.
///
/// All MPI calls come from the thread that uses this object (MPI_THREAD_FUNNELED suffices). Sizes
/// may pass 2^31. Extra memory: one message for each other rank. Ranks must have the same byte
/// order.
class MpiComm final : public Communicator {
 public:
  static constexpr std::size_t default_message_bytes = std::size_t{4} << 20;

  /// Collective. `comm` must outlive this object and carry no other traffic meanwhile.
  /// message_bytes: the longest message, the same on all ranks, rounded down to whole floats.
  explicit MpiComm(MPI_Comm comm, std::size_t message_bytes = default_message_bytes);

 private:
  void do_barrier() override;
  void do_broadcast(std::span<std::byte> bytes, int root) override;
  void do_reduce_scatter(std::span<float> values, std::span<const Range> shards) override;
  void do_all_gather_shards(std::span<std::byte> values, std::span<const Range> shards) override;

  void send(std::span<const std::byte> bytes, int to);
  void receive(std::span<std::byte> bytes, int from);
  /// Waits for everything started; `what` names the collective in an error.
  void wait(const char* what);
  void check(int code, const char* call) const;

  MPI_Comm comm_;
  std::size_t message_bytes_;
  std::vector<MPI_Request> requests_;
  std::vector<MPI_Status> statuses_;
  std::vector<float>
      inbox_;  // kept between calls; a message may still arrive while an error unwinds
};

}  // namespace motley
