// Reads the micro-batches that a rank will need next on a thread of its own, a bounded number
// ahead, so that a step never waits for the disk or for the indexing of tokens.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include "train/batch.h"

namespace motley {

/// A micro-batch and its place in the run.
struct Leaf {
  std::uint64_t step = 0;
  std::size_t index = 0;
  Batch batch;
};

/// How far ahead of the device leaves are read.
struct ReadAhead {
  std::size_t leaves = 1;   // kept ready at most; at least 1
  std::uint64_t steps = 0;  // beyond the one that has begun
};

/// Delivers a rank's leaves in order: all of those of step k, then those of step k + 1, without
/// end.
class Prefetcher {
 public:
  using LeavesOfStep = std::function<std::vector<std::size_t>(std::uint64_t step)>;
  using MakeLeaf = std::function<Batch(std::uint64_t step, std::size_t leaf)>;

  /// Starts reading at first_step, which counts as begun. `leaves` and `make` are called on the
  /// reading thread only, and what they refer to must outlive the prefetcher. A step may have no
  /// leaves. `leaves` is asked once for each step, in order, and for none beyond `ahead.steps`
  /// after the step that has begun: until then they may change.
  Prefetcher(std::uint64_t first_step, const ReadAhead& ahead, LeavesOfStep leaves, MakeLeaf make);
  /// The same, reading from a source.
  Prefetcher(std::uint64_t first_step, const ReadAhead& ahead, LeavesOfStep leaves,
             const LeafSource& source);

  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  /// Lets reading go on up to `ahead.steps` after this step. To be called as each step begins,
  /// whether this rank has leaves in it or not.
  void begin_step(std::uint64_t step);
  /// The next leaf; waits until it is read. Throws what reading it threw, at its place in the order
  /// and at every later call. To be called for leaves of the step that has begun only, for later
  /// ones may never be read.
  Leaf next();

 private:
  void run(const std::stop_token& stop, std::uint64_t step);
  bool may_read(const std::stop_token& stop, std::uint64_t step);
  void deliver(const std::stop_token& stop, Leaf leaf);

  const ReadAhead ahead_;
  const LeavesOfStep leaves_;
  const MakeLeaf make_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Leaf> ready_;
  std::uint64_t begun_;
  std::exception_ptr failure_;
  std::jthread thread_;  // last: stopped and joined before what it uses goes
};

}  // namespace motley
