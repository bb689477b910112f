#include "train/prefetch.h"

#include <algorithm>
#include <utility>

namespace motley {

Prefetcher::Prefetcher(std::uint64_t first_step, const ReadAhead& ahead, LeavesOfStep leaves,
                       MakeLeaf make)
    : ahead_{std::max<std::size_t>(ahead.leaves, 1), ahead.steps},
      leaves_(std::move(leaves)),
      make_(std::move(make)),
      begun_(first_step),
      thread_([this, first_step](const std::stop_token& stop) { run(stop, first_step); }) {}

Prefetcher::Prefetcher(std::uint64_t first_step, const ReadAhead& ahead, LeavesOfStep leaves,
                       const LeafSource& source)
    : Prefetcher(
          first_step, ahead, std::move(leaves),
          [&source](std::uint64_t step, std::size_t leaf) { return source.leaf(step, leaf); }) {}

void Prefetcher::begin_step(std::uint64_t step) {
  {
    const std::scoped_lock lock(mutex_);
    begun_ = step;
  }
  changed_.notify_all();
}

Leaf Prefetcher::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !ready_.empty() || failure_ != nullptr; });
  if (ready_.empty()) std::rethrow_exception(failure_);
  Leaf leaf = std::move(ready_.front());
  ready_.pop_front();
  lock.unlock();
  changed_.notify_all();
  return leaf;
}

void Prefetcher::run(const std::stop_token& stop, std::uint64_t step) {
  try {
    for (; may_read(stop, step); ++step) {
      for (const std::size_t leaf : leaves_(step)) {
        if (stop.stop_requested()) return;
        deliver(stop, Leaf{.step = step, .index = leaf, .batch = make_(step, leaf)});
      }
    }
  } catch (...) {
    const std::scoped_lock lock(mutex_);
    failure_ = std::current_exception();
    changed_.notify_all();
  }
}

/// Waits until the step is near enough; false when a stop is requested first.
bool Prefetcher::may_read(const std::stop_token& stop, std::uint64_t step) {
  std::unique_lock lock(mutex_);
  return changed_.wait(lock, stop, [&] { return step <= begun_ + ahead_.steps; }) &&
         !stop.stop_requested();
}

void Prefetcher::deliver(const std::stop_token& stop, Leaf leaf) {
  std::unique_lock lock(mutex_);
  // Ends early, with the queue still full, when a stop is requested: the leaf is then not wanted.
  if (!changed_.wait(lock, stop, [this] { return ready_.size() < ahead_.leaves; })) return;
  ready_.push_back(std::move(leaf));
  lock.unlock();
  changed_.notify_all();
}

}  // namespace motley
