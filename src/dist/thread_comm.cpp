#include "dist/thread_comm.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <list>
#include <thread>

#include "tensor/error.h"

namespace motley {
namespace {

/// One side of a message, which waits for the other. Who comes second copies.
struct Sent {
  std::span<const std::byte> bytes;
  std::atomic<bool>* done;
};
struct Awaited {
  std::span<std::byte> bytes;
  std::atomic<bool>* done;
};

/// The messages from one rank to another, in order. At most one of the two lists is not empty.
class Channel {
 public:
  void send(const Sent& sent) {
    const std::lock_guard lock(mutex_);
    if (awaited_.empty()) return sent_.push_back(sent);
    const Awaited awaited = awaited_.front();
    awaited_.pop_front();
    deliver(sent, awaited);
  }
  void receive(const Awaited& awaited) {
    const std::lock_guard lock(mutex_);
    if (sent_.empty()) return awaited_.push_back(awaited);
    const Sent sent = sent_.front();
    sent_.pop_front();
    deliver(sent, awaited);
  }
  /// Forgets a message whose memory goes away.
  void cancel(const std::atomic<bool>* done) {
    const std::lock_guard lock(mutex_);
    sent_.remove_if([done](const Sent& sent) { return sent.done == done; });
    awaited_.remove_if([done](const Awaited& awaited) { return awaited.done == done; });
  }

 private:
  static void deliver(const Sent& sent, const Awaited& awaited) {
    require<CommError>(sent.bytes.size() == awaited.bytes.size(), "comm.sizes",
                       "a message of {} bytes came where one of {} was expected", sent.bytes.size(),
                       awaited.bytes.size());
    std::copy(sent.bytes.begin(), sent.bytes.end(), awaited.bytes.begin());
    sent.done->store(true, std::memory_order_release);
    awaited.done->store(true, std::memory_order_release);
  }

  std::mutex mutex_;
  std::list<Sent> sent_;
  std::list<Awaited> awaited_;
};

/// What the ranks share.
class ThreadGroup {
 public:
  explicit ThreadGroup(std::size_t size) : size_(size), channels_(size * size), gone_(size) {}

  Channel& channel(std::size_t from, std::size_t to) { return channels_[from * size_ + to]; }

  /// Called once by each rank at its end, with what it threw if it did.
  void leave(std::size_t rank, const std::exception_ptr& error) {
    if (error) {
      const std::lock_guard lock(mutex_);
      if (!first_error_) first_error_ = error;
    }
    // What this rank sent was delivered, or it would not have come here.
    gone_[rank].store(true, std::memory_order_release);
    if (error) has_failed_.store(true, std::memory_order_release);
  }
  bool is_gone(std::size_t rank) const { return gone_[rank].load(std::memory_order_acquire); }
  bool has_failed() const { return has_failed_.load(std::memory_order_acquire); }
  std::exception_ptr first_error() const { return first_error_; }

 private:
  std::size_t size_;
  std::vector<Channel> channels_;
  std::vector<std::atomic<bool>> gone_;
  std::atomic<bool> has_failed_{false};
  std::mutex mutex_;
  std::exception_ptr first_error_;
};

[[noreturn]] void fail_without(std::size_t rank) {
  fail<CommError>("comm.peer",
                  "rank {} waits for a rank that has failed or returned; see that rank's error",
                  rank);
}

class ThreadTransfers final : public Transfers {
 public:
  ThreadTransfers(ThreadGroup& group, std::size_t rank) : group_(group), rank_(rank) {}
  ~ThreadTransfers() override {
    for (Message& message : messages_) message.channel->cancel(&message.done);
  }

  void send(std::span<const std::byte> bytes, int to) override {
    if (bytes.empty()) return;
    const auto peer = static_cast<std::size_t>(to);
    Message& message = messages_.emplace_back(group_.channel(rank_, peer), peer);
    message.channel->send({bytes, &message.done});
  }
  void receive(std::span<std::byte> bytes, int from) override {
    if (bytes.empty()) return;
    const auto peer = static_cast<std::size_t>(from);
    Message& message = messages_.emplace_back(group_.channel(peer, rank_), peer);
    message.channel->receive({bytes, &message.done});
  }
  bool test() override {
    std::erase_if(messages_, [this](const Message& message) {
      // Asked in this order: a peer that has gone has done all that it will.
      const bool gone = group_.is_gone(message.peer);
      const bool done = message.done.load(std::memory_order_acquire);
      if (gone && !done) fail_without(rank_);
      return done;
    });
    return messages_.empty();
  }

 private:
  struct Message {
    Message(Channel& where, std::size_t with) : channel(&where), peer(with) {}
    Channel* channel;
    std::size_t peer;
    std::atomic<bool> done{false};
  };

  ThreadGroup& group_;
  std::size_t rank_;
  std::list<Message> messages_;  // a list, because the channels point into it
};

class ThreadComm final : public Communicator {
 public:
  ThreadComm(ThreadGroup& group, CommThread& thread, const RankIdentity& identity)
      : Communicator(identity, &thread), group_(group) {}

  std::unique_ptr<Transfers> transfers() override {
    return std::make_unique<ThreadTransfers>(group_, index());
  }

 private:
  void check_peers() override {
    if (group_.has_failed()) fail_without(index());
  }

  ThreadGroup& group_;
};

RankIdentity identity_of(int rank, int num_ranks, int ranks_per_host) {
  const int per_host = ranks_per_host <= 0 ? num_ranks : ranks_per_host;
  const int node = rank / per_host * per_host;
  return {.rank = rank,
          .size = num_ranks,
          .local_rank = rank - node,
          .local_size = std::min(per_host, num_ranks - node),
          .node = node,
          .host = per_host == num_ranks ? "localhost" : fmt::format("host{}", node / per_host)};
}

}  // namespace

void run_ranks(int num_ranks, const std::function<void(Communicator&)>& body, int ranks_per_host) {
  require<ConfigError>(num_ranks > 0, "comm.ranks", "cannot run {} ranks; at least 1 is needed",
                       num_ranks);
  ThreadGroup group(static_cast<std::size_t>(num_ranks));
  std::vector<std::thread> threads;
  threads.reserve(static_cast<std::size_t>(num_ranks));
  for (int rank = 0; rank < num_ranks; ++rank) {
    threads.emplace_back([&, rank] {
      std::exception_ptr error;
      try {
        CommThread thread;
        ThreadComm comm(group, thread, identity_of(rank, num_ranks, ranks_per_host));
        body(comm);
      } catch (...) {
        error = std::current_exception();
      }
      group.leave(static_cast<std::size_t>(rank), error);
    });
  }
  for (std::thread& thread : threads) thread.join();
  if (group.first_error()) std::rethrow_exception(group.first_error());
}

}  // namespace motley
