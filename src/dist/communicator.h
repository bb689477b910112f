// A fixed group of ranks and what they can do together. Every collective is called by all ranks, in
// the same order and with matching sizes; none may stand under a condition that can differ between
// ranks, in a destructor or in a signal handler.
//
// Implementations: SelfComm (one process), ThreadComm (ranks are threads), MpiComm.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dist/comm_thread.h"
#include "dist/flight_recorder.h"
#include "dist/range.h"
#include "dist/transfers.h"

namespace motley {

/// Who a rank is: among all ranks, and among those on its own host.
struct RankIdentity {
  int rank = 0;
  int size = 1;
  int local_rank = 0;
  int local_size = 1;
  int node = 0;  // the lowest rank on the same host: two hosts may bear one name
  std::string host = {};
};

/// Pauses between two polls: none at first, then the processor is offered to others, then sleeps
/// that grow with the time that was waited, so that a rank that waits leaves its core to a device.
class Backoff {
 public:
  /// What is waited for. Messages need polling to come at all. A device's work takes milliseconds
  /// on the very core that the polling would use: 5,000 polls a second cost a CPU device 5 %.
  enum class For { messages, device };
  explicit Backoff(For what = For::messages) : what_(what) {}
  void pause();

 private:
  For what_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// All collectives work on host memory, run on the communication thread, in the order in which they
/// were called or posted, and throw CommError when a message cannot be exchanged and ShapeError
/// when the arguments do not fit together.
class Communicator {
 public:
  virtual ~Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  int rank() const { return identity_.rank; }
  int size() const { return identity_.size; }
  int local_rank() const { return identity_.local_rank; }
  int local_size() const { return identity_.local_size; }
  int node() const { return identity_.node; }
  const std::string& host() const { return identity_.host; }
  /// "rank 2 on node1"
  std::string name() const;
  /// What this rank did last, for the report of a stall.
  FlightRecorder& recorder() { return recorder_; }

  /// Returns when all ranks have called it.
  void barrier();

  /// `bytes` of `root` replaces that of every other rank. Same size everywhere.
  void broadcast(std::span<std::byte> bytes, int root);
  /// Text of any length; only the root's matters. Returns the root's.
  [[nodiscard]] std::string broadcast_text(std::string_view text, int root);

  /// `all` becomes rank 0's bytes, then rank 1's and so on. `mine` has the same size on every rank
  /// and `all` is size() times as long.
  void all_gather(std::span<std::byte> all, std::span<const std::byte> mine);
  /// One text of any length from each rank, in rank order.
  [[nodiscard]] std::vector<std::string> all_gather_text(std::string_view mine);

  [[nodiscard]] std::int64_t all_reduce_min(std::int64_t value);
  [[nodiscard]] std::int64_t all_reduce_max(std::int64_t value);
  /// Throws ShapeError when the sum does not fit 64 bits.
  [[nodiscard]] std::int64_t all_reduce_sum(std::int64_t value);
  /// Replaces each value by its sum over ranks, added in rank order: the same bits on every rank.
  void all_reduce_sum(std::span<double> values);

  /// Copies every rank's own shard of `values` to all ranks. shards: one range of `values` for each
  /// rank, ascending and disjoint, the same on all ranks; any may be empty.
  void all_gather_shards(std::span<float> values, std::span<const Range> shards);
  /// The same for any element type: shards count bytes.
  void all_gather_shards(std::span<std::byte> values, std::span<const Range> shards);

  /// Does `work` on the communication thread after all that was called or posted before; with
  /// SelfComm, at once. The future throws what it threw.
  [[nodiscard]] std::future<void> post(std::function<void()> work);
  /// The same, and waits for it. On the communication thread itself: at once.
  void run(const std::function<void()>& work);
  /// Has `hook` called on the communication thread every 100 ms or more often, whether it waits or
  /// has nothing to do; null ends that. Never called with SelfComm.
  void set_pump(std::function<void()> hook);

  /// Has all waiting on the communication thread, now and later, throw CommError, so that a rank
  /// that failed on its own does not wait for ever before it can end. The communicator is of no use
  /// then.
  void give_up() { has_given_up_.store(true); }

  /// On the communication thread: an empty set of messages.
  virtual std::unique_ptr<Transfers> transfers() = 0;
  /// On the communication thread: returns when done() is true. `done` is called again and again and
  /// must not block. Throws CommError when a rank that is waited for cannot come any more.
  template <class Done>
  void wait_until(Done done, Backoff::For what = Backoff::For::messages) {
    Backoff backoff(what);
    while (!done()) {
      pause(backoff);
    }
  }

 protected:
  /// `thread` must outlive this object; null: all is done by the caller's thread.
  Communicator(RankIdentity identity, CommThread* thread)
      : identity_(std::move(identity)), thread_(thread) {}
  std::size_t index() const { return static_cast<std::size_t>(identity_.rank); }
  std::size_t count() const { return static_cast<std::size_t>(identity_.size); }
  /// Throws CommError when a rank has gone, where that can be known.
  virtual void check_peers() {}

 private:
  void pause(Backoff& backoff);
  void do_barrier();
  void do_broadcast(std::span<std::byte> bytes, int root);
  void do_all_gather_shards(std::span<std::byte> values, std::span<const Range> shards);
  std::vector<std::int64_t> all_gather_int(std::int64_t value);
  void check_shards(std::size_t num_values, std::span<const Range> shards) const;

  RankIdentity identity_;
  CommThread* thread_;
  FlightRecorder recorder_;
  std::atomic<bool> has_given_up_{false};
};

}  // namespace motley
