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
#include <optional>
#include <stop_token>
#include <thread>

#include "train/batch.h"

namespace motley {

/// A micro-batch and its place in the run.
struct Leaf {
  std::uint64_t step = 0;
  std::size_t index = 0;
  Batch batch;
};

/// The leaves [first, last) of one step that a rank computes.
struct LeafRange {
  std::size_t first = 0;
  std::size_t last = 0;
};

/// Delivers a rank's leaves in order: all of its range of step k, then those of step k + 1, without
/// end.
class Prefetcher {
 public:
  using RangeOfStep = std::function<LeafRange(std::uint64_t step)>;
  using MakeLeaf = std::function<Batch(std::uint64_t step, std::size_t leaf)>;

  /// Starts reading at first_step. `range` and `make` are called on the reading thread only, and
  /// what they refer to must outlive the prefetcher. At most `capacity` (at least 1) leaves are
  /// kept ready. A step whose range is empty is passed over; a rank without leaves in any step must
  /// not ask.
  Prefetcher(std::uint64_t first_step, std::size_t capacity, RangeOfStep range, MakeLeaf make);
  /// The same, reading from a source.
  Prefetcher(std::uint64_t first_step, std::size_t capacity, RangeOfStep range,
             const LeafSource& source);

  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  /// The next leaf; waits until it is read. Throws what reading it threw, at its place in the order
  /// and at every later call.
  Leaf next();

 private:
  void run(const std::stop_token& stop, std::uint64_t step);
  void deliver(const std::stop_token& stop, std::optional<Leaf> leaf);

  const std::size_t capacity_;
  const RangeOfStep range_;
  const MakeLeaf make_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<std::optional<Leaf>> ready_;  // none stands for a step without leaves
  std::exception_ptr failure_;
  std::jthread thread_;  // last: stopped and joined before what it uses goes
};

}  // namespace motley
