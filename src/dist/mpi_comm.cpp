#include "dist/mpi_comm.h"

#include <algorithm>
#include <array>
#include <climits>

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

RankIdentity identify_on(CommThread& thread, MPI_Comm comm) {
  RankIdentity id;
  thread.post([&] { id = identify(comm); }).get();
  return id;
}

class MpiTransfers final : public Transfers {
 public:
  MpiTransfers(MPI_Comm comm, std::size_t message_bytes, std::string who)
      : comm_(comm), message_bytes_(message_bytes), who_(std::move(who)) {}

  void send(std::span<const std::byte> bytes, int to) override {
    for_each_message(bytes, [&](std::span<const std::byte> part) {
      check_mpi(MPI_Isend(part.data(), static_cast<int>(part.size()), MPI_BYTE, to, message_tag,
                          comm_, &requests_.emplace_back(MPI_REQUEST_NULL)),
                "MPI_Isend", who_);
    });
  }

  void receive(std::span<std::byte> bytes, int from) override {
    for_each_message(bytes, [&](std::span<std::byte> part) {
      check_mpi(MPI_Irecv(part.data(), static_cast<int>(part.size()), MPI_BYTE, from, message_tag,
                          comm_, &requests_.emplace_back(MPI_REQUEST_NULL)),
                "MPI_Irecv", who_);
    });
  }

  bool test() override {
    if (requests_.empty()) return true;
    completed_.resize(requests_.size());
    statuses_.resize(requests_.size());
    for (MPI_Status& status : statuses_) status.MPI_ERROR = MPI_SUCCESS;
    int num_completed = 0;
    const int code = MPI_Testsome(static_cast<int>(requests_.size()), requests_.data(),
                                  &num_completed, completed_.data(), statuses_.data());
    if (code == MPI_ERR_IN_STATUS) {
      for (const MPI_Status& status : statuses_) {
        if (status.MPI_ERROR != MPI_ERR_PENDING) check_mpi(status.MPI_ERROR, "a message", who_);
      }
    }
    check_mpi(code, "MPI_Testsome", who_);
    std::erase(requests_, MPI_REQUEST_NULL);
    return requests_.empty();
  }

 private:
  template <class Bytes, class Each>
  void for_each_message(Bytes bytes, Each each) {
    for (std::size_t begin = 0; begin < bytes.size(); begin += message_bytes_)
      each(bytes.subspan(begin, std::min(message_bytes_, bytes.size() - begin)));
  }

  MPI_Comm comm_;
  std::size_t message_bytes_;
  std::string who_;
  std::vector<MPI_Request> requests_;
  std::vector<int> completed_;
  std::vector<MPI_Status> statuses_;
};

}  // namespace

void check_mpi(int code, const char* call, const std::string& who) {
  require<CommError>(
      code == MPI_SUCCESS, "comm.mpi",
      "{}: {} failed: {}\n  another rank has ended or the network between hosts is broken; "
      "look for the first error in the other ranks' logs",
      who, call, code == MPI_SUCCESS ? "" : mpi_error_text(code));
}

MpiComm::MpiComm(CommThread& thread, MPI_Comm comm, std::size_t message_bytes)
    : Communicator(identify_on(thread, comm), &thread),
      thread_(&thread),
      comm_(comm),
      message_bytes_(std::clamp<std::size_t>(message_bytes, 1, INT_MAX)) {}

std::unique_ptr<Transfers> MpiComm::transfers() {
  return std::make_unique<MpiTransfers>(comm_, message_bytes_, name());
}

}  // namespace motley
