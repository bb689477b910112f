#include "dist/thread_comm.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#include "tensor/error.h"

namespace motley {
namespace {

/// What the ranks share: a barrier that can break, and what each rank shows to the others between
/// two passes of that barrier.
class ThreadGroup {
 public:
  explicit ThreadGroup(std::size_t size) : shown_(size) {}

  /// Shows `bytes` to the others and waits until all have shown theirs, which must be of the same
  /// size.
  void show(std::size_t rank, std::span<std::byte> bytes) {
    {
      const std::lock_guard lock(mutex_);
      shown_[rank] = bytes;
    }
    wait(rank);
    const std::lock_guard lock(mutex_);
    for (std::size_t r = 0; r < shown_.size(); ++r) {
      require<CommError>(shown_[r].size() == bytes.size(), "comm.sizes",
                         "rank {} came with {} bytes to a collective to which rank {} came with {}",
                         rank, bytes.size(), r, shown_[r].size());
    }
  }

  /// What rank r showed. Valid until the next wait().
  std::span<std::byte> shown(std::size_t r) {
    const std::lock_guard lock(mutex_);
    return shown_[r];
  }

  void wait(std::size_t rank) {
    std::unique_lock lock(mutex_);
    refuse_if(num_gone_ > 0, rank);
    const std::size_t round = round_;
    if (++num_waiting_ == shown_.size()) {
      num_waiting_ = 0;
      ++round_;
      all_here_.notify_all();
      return;
    }
    all_here_.wait(lock, [&] { return round_ != round || num_gone_ > 0; });
    refuse_if(round_ == round, rank);
  }

  /// Called once by each rank at its end, with what it threw if it did.
  void leave(std::exception_ptr error) {
    const std::lock_guard lock(mutex_);
    if (error && !first_error_) first_error_ = std::move(error);
    ++num_gone_;
    all_here_.notify_all();
  }

  std::exception_ptr first_error() const { return first_error_; }

 private:
  static void refuse_if(bool broken, std::size_t rank) {
    require<CommError>(
        !broken, "comm.peer",
        "rank {} waits for a rank that has failed or returned; see that rank's error", rank);
  }

  std::mutex mutex_;
  std::condition_variable all_here_;
  std::vector<std::span<std::byte>> shown_;
  std::size_t num_waiting_ = 0;
  std::size_t round_ = 0;
  std::size_t num_gone_ = 0;
  std::exception_ptr first_error_;
};

/// Each collective shows its memory, copies what it needs from the others' and waits until all
/// have.
class ThreadComm final : public Communicator {
 public:
  ThreadComm(ThreadGroup& group, int rank, int size)
      : Communicator({.rank = rank,
                      .size = size,
                      .local_rank = rank,
                      .local_size = size,
                      .host = "localhost"}),
        group_(group) {}

 private:
  void do_barrier() override { group_.wait(index()); }

  void do_broadcast(std::span<std::byte> bytes, int root) override {
    group_.show(index(), bytes);
    const std::span<std::byte> from = group_.shown(static_cast<std::size_t>(root));
    if (rank() != root) std::copy(from.begin(), from.end(), bytes.begin());
    group_.wait(index());
  }

  void do_reduce_scatter(std::span<float> values, std::span<const Range> shards) override {
    group_.show(index(), std::as_writable_bytes(values));
    const Range mine = shards[index()];
    std::vector<const float*> sources;
    for (std::size_t r = 0; r < count(); ++r) {
      // Shown by do_reduce_scatter on rank r, where these bytes are floats.
      sources.push_back(reinterpret_cast<const float*>(group_.shown(r).data()) + mine.begin);
    }
    // This rank writes within its shard only, and the others read outside it.
    add_in_order(values.subspan(mine.begin, mine.size()), sources);
    group_.wait(index());
  }

  void do_all_gather_shards(std::span<std::byte> values, std::span<const Range> shards) override {
    group_.show(index(), values);
    for (std::size_t r = 0; r < count(); ++r) {
      if (r == index()) continue;
      const auto from = group_.shown(r).subspan(shards[r].begin, shards[r].size());
      std::copy(from.begin(), from.end(), values.subspan(shards[r].begin).begin());
    }
    group_.wait(index());
  }

  ThreadGroup& group_;
};

}  // namespace

void run_ranks(int num_ranks, const std::function<void(Communicator&)>& body) {
  require<ConfigError>(num_ranks > 0, "comm.ranks", "cannot run {} ranks; at least 1 is needed",
                       num_ranks);
  ThreadGroup group(static_cast<std::size_t>(num_ranks));
  std::vector<std::thread> threads;
  threads.reserve(static_cast<std::size_t>(num_ranks));
  for (int rank = 0; rank < num_ranks; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        ThreadComm comm(group, rank, num_ranks);
        body(comm);
        group.leave(nullptr);
      } catch (...) {
        group.leave(std::current_exception());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  if (group.first_error()) std::rethrow_exception(group.first_error());
}

}  // namespace motley
