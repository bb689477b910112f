#include "train/prefetch.h"

#include <algorithm>
#include <utility>

namespace motley {

Prefetcher::Prefetcher(std::uint64_t first_step, std::size_t capacity, RangeOfStep range,
                       MakeLeaf make)
    : capacity_(std::max<std::size_t>(capacity, 1)),
      range_(std::move(range)),
      make_(std::move(make)),
      thread_([this, first_step](const std::stop_token& stop) { run(stop, first_step); }) {}

Prefetcher::Prefetcher(std::uint64_t first_step, std::size_t capacity, RangeOfStep range,
                       const LeafSource& source)
    : Prefetcher(
          first_step, capacity, std::move(range),
          [&source](std::uint64_t step, std::size_t leaf) { return source.leaf(step, leaf); }) {}

Leaf Prefetcher::next() {
  std::optional<Leaf> leaf;
  while (!leaf) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !ready_.empty() || failure_ != nullptr; });
    if (ready_.empty()) std::rethrow_exception(failure_);
    leaf = std::move(ready_.front());
    ready_.pop_front();
    lock.unlock();
    changed_.notify_all();
  }
  return std::move(*leaf);
}

void Prefetcher::run(const std::stop_token& stop, std::uint64_t step) {
  try {
    for (; !stop.stop_requested(); ++step) {
      const LeafRange range = range_(step);
      // Takes room in the queue as well: a rank without leaves must not run through all steps at
      // once.
      if (range.first >= range.last) deliver(stop, std::nullopt);
      for (std::size_t i = range.first; i < range.last && !stop.stop_requested(); ++i) {
        deliver(stop, Leaf{.step = step, .index = i, .batch = make_(step, i)});
      }
    }
  } catch (...) {
    const std::scoped_lock lock(mutex_);
    failure_ = std::current_exception();
    changed_.notify_all();
  }
}

void Prefetcher::deliver(const std::stop_token& stop, std::optional<Leaf> leaf) {
  std::unique_lock lock(mutex_);
  // Ends early, with the queue still full, when a stop is requested: the leaf is then not wanted.
  if (!changed_.wait(lock, stop, [this] { return ready_.size() < capacity_; })) return;
  ready_.push_back(std::move(leaf));
  lock.unlock();
  changed_.notify_all();
}

}  // namespace motley
