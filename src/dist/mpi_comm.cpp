#include "dist/mpi_comm.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <climits>
#include <thread>

#include "tensor/checked.h"

namespace motley {
namespace {

constexpr int message_tag =
    1;  // one kind of traffic: MPI keeps the order of messages between two ranks

std::string mpi_error_text(int code) {
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  if (MPI_Error_string(code, text.data(), &length) != MPI_SUCCESS)
    return fmt::format("MPI error {}", code);
  return {text.data(), static_cast<std::size_t>(length)};
}

void check_mpi(int code, const char* call, const std::string& who) {
  require<CommError>(
      code == MPI_SUCCESS, "comm.mpi",
      "{}: {} failed: {}\n  another rank has ended or the network between hosts is broken; "
      "look for the first error in the other ranks' logs",
      who, call, code == MPI_SUCCESS ? "" : mpi_error_text(code));
}

/// Asks MPI who we are. Ranks of one host are those that MPI says share memory.
RankIdentity identify(MPI_Comm comm) {
  RankIdentity id;
  check_mpi(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler",
            "this rank");
  check_mpi(MPI_Comm_rank(comm, &id.rank), "MPI_Comm_rank", "this rank");
  const std::string who = fmt::format("rank {}", id.rank);
  check_mpi(MPI_Comm_size(comm, &id.size), "MPI_Comm_size", who);
  std::array<char, MPI_MAX_PROCESSOR_NAME> host{};
  int length = 0;
  check_mpi(MPI_Get_processor_name(host.data(), &length), "MPI_Get_processor_name", who);
  id.host.assign(host.data(), static_cast<std::size_t>(length));
  MPI_Comm local = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, id.rank, MPI_INFO_NULL, &local),
            "MPI_Comm_split_type", who);
  check_mpi(MPI_Comm_rank(local, &id.local_rank), "MPI_Comm_rank", who);
  check_mpi(MPI_Comm_size(local, &id.local_size), "MPI_Comm_size", who);
  id.node = id.rank;
  check_mpi(MPI_Bcast(&id.node, 1, MPI_INT, 0, local), "MPI_Bcast", who);
  check_mpi(MPI_Comm_free(&local), "MPI_Comm_free", who);
  return id;
}

/// The part of `range` that message number `message` of at most `length` elements carries; empty
/// past the end.
Range part_of(const Range& range, std::size_t message, std::size_t length) {
  const std::size_t offset = std::min(range.size(), message * length);
  return {range.begin + offset, range.begin + std::min(range.size(), offset + length)};
}

std::size_t num_messages(std::span<const Range> shards, std::size_t length) {
  std::size_t most = 0;
  for (const Range& shard : shards) most = std::max(most, ceil_div(shard.size(), length));
  return most;
}

/// Pauses between two polls: none at first, then the processor is offered to others, then short
/// sleeps.
class Backoff {
 public:
  void pause() {
    const auto waited = std::chrono::steady_clock::now() - start_;
    if (waited < std::chrono::microseconds(50)) return;
    if (waited < std::chrono::milliseconds(1)) return std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace

MpiComm::MpiComm(MPI_Comm comm, std::size_t message_bytes)
    : Communicator(identify(comm)),
      comm_(comm),
      message_bytes_(std::clamp<std::size_t>(message_bytes, sizeof(float), INT_MAX) /
                     sizeof(float) * sizeof(float)) {}

void MpiComm::check(int code, const char* call) const {
  check_mpi(code, call, name());
}

void MpiComm::send(std::span<const std::byte> bytes, int to) {
  if (bytes.empty()) return;
  check(MPI_Isend(bytes.data(), static_cast<int>(bytes.size()), MPI_BYTE, to, message_tag, comm_,
                  &requests_.emplace_back(MPI_REQUEST_NULL)),
        "MPI_Isend");
}

void MpiComm::receive(std::span<std::byte> bytes, int from) {
  if (bytes.empty()) return;
  check(MPI_Irecv(bytes.data(), static_cast<int>(bytes.size()), MPI_BYTE, from, message_tag, comm_,
                  &requests_.emplace_back(MPI_REQUEST_NULL)),
        "MPI_Irecv");
}

void MpiComm::wait(const char* what) {
  statuses_.resize(requests_.size());
  for (MPI_Status& status : statuses_) status.MPI_ERROR = MPI_SUCCESS;
  Backoff backoff;
  for (int done = 0; done == 0;) {
    const int code =
        MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &done, statuses_.data());
    if (code == MPI_ERR_IN_STATUS) {
      for (const MPI_Status& status : statuses_) {
        if (status.MPI_ERROR != MPI_ERR_PENDING) check(status.MPI_ERROR, what);
      }
    }
    check(code, what);
    if (done == 0) backoff.pause();
  }
  requests_.clear();
}

void MpiComm::do_barrier() {
  check(MPI_Ibarrier(comm_, &requests_.emplace_back(MPI_REQUEST_NULL)), "MPI_Ibarrier");
  wait("MPI_Ibarrier");
}

void MpiComm::do_broadcast(std::span<std::byte> bytes, int root) {
  while (!bytes.empty()) {
    const std::size_t length = std::min(bytes.size(), message_bytes_);
    check(MPI_Ibcast(bytes.data(), static_cast<int>(length), MPI_BYTE, root, comm_,
                     &requests_.emplace_back(MPI_REQUEST_NULL)),
          "MPI_Ibcast");
    wait("MPI_Ibcast");
    bytes = bytes.subspan(length);
  }
}

void MpiComm::do_reduce_scatter(std::span<float> values, std::span<const Range> shards) {
  const std::size_t length = message_bytes_ / sizeof(float);
  const std::size_t slot = std::min(length, shards[index()].size());
  if (inbox_.size() < slot * (count() - 1)) inbox_.resize(slot * (count() - 1));
  std::vector<const float*> sources(count());
  for (std::size_t message = 0; message < num_messages(shards, length); ++message) {
    const Range mine = part_of(shards[index()], message, length);
    const std::span<float> own = values.subspan(mine.begin, mine.size());
    for (std::size_t r = 0; r < count(); ++r) {
      if (r == index()) {
        sources[r] = own.data();
        continue;
      }
      const std::span<float> arriving =
          std::span(inbox_).subspan(slot * (r < index() ? r : r - 1), mine.size());
      sources[r] = arriving.data();
      receive(std::as_writable_bytes(arriving), static_cast<int>(r));
    }
    // Each rank starts with its right-hand neighbour, so that no rank is everybody's first target.
    for (std::size_t step = 1; step < count(); ++step) {
      const std::size_t to = (index() + step) % count();
      const Range part = part_of(shards[to], message, length);
      send(std::as_bytes(values.subspan(part.begin, part.size())), static_cast<int>(to));
    }
    wait("reduce-scatter");
    add_in_order(own, sources);
  }
}

void MpiComm::do_all_gather_shards(std::span<std::byte> values, std::span<const Range> shards) {
  for (std::size_t message = 0; message < num_messages(shards, message_bytes_); ++message) {
    for (std::size_t r = 0; r < count(); ++r) {
      if (r == index()) continue;
      const Range part = part_of(shards[r], message, message_bytes_);
      receive(values.subspan(part.begin, part.size()), static_cast<int>(r));
    }
    const Range mine = part_of(shards[index()], message, message_bytes_);
    for (std::size_t step = 1; step < count(); ++step) {
      send(values.subspan(mine.begin, mine.size()), static_cast<int>((index() + step) % count()));
    }
    wait("all-gather");
  }
}

}  // namespace motley
