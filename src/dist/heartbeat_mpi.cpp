// Heartbeats over MPI's point-to-point messages, on a communicator of their own: they can neither
// match a message of a collective nor wait behind one.
#include <mpi.h>

#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "dist/heartbeat.h"
#include "dist/mpi_comm.h"

namespace motley {
namespace {

constexpr int heartbeat_tag = 2;
constexpr int heartbeat_bytes = static_cast<int>(sizeof(Heartbeat));
static_assert(std::is_trivially_copyable_v<Heartbeat>);

/// Made, used and destroyed on the communication thread.
class MpiHeartbeatLink final : public HeartbeatLink {
 public:
  MpiHeartbeatLink(MPI_Comm comm, int rank, int size, std::string who) : who_(std::move(who)) {
    check_mpi(MPI_Comm_dup(comm, &comm_), "MPI_Comm_dup", who_);
    check_mpi(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler", who_);
    peers_.resize(static_cast<std::size_t>(size));
    for (int peer = 0; peer < size; ++peer) {
      if ((peer == 0) == (rank == 0)) continue;  // rank 0 and each other
      peers_[static_cast<std::size_t>(peer)] = std::make_unique<Peer>();
      start_receiving(peer);
    }
  }

  /// Freeing the communicator would be collective; MPI_Finalize does it.
  ~MpiHeartbeatLink() override {
    int finalized = 0;
    MPI_Finalized(&finalized);
    for (std::unique_ptr<Peer>& peer : peers_) {
      if (peer == nullptr) continue;
      if (finalized == 0) give_up(*peer);
      // A message that has not left may still be read by MPI: its memory must stay.
      if (peer->sending != MPI_REQUEST_NULL || finalized != 0) (void)peer.release();
    }
  }

  void send(int to, const Heartbeat& beat) override {
    Peer& peer = at(to);
    if (peer.sending != MPI_REQUEST_NULL && !has_ended(peer.sending)) return;
    peer.out = beat;
    check_mpi(
        MPI_Isend(&peer.out, heartbeat_bytes, MPI_BYTE, to, heartbeat_tag, comm_, &peer.sending),
        "MPI_Isend", who_);
  }

  bool receive(int from, Heartbeat& beat) override {
    Peer& peer = at(from);
    if (!has_ended(peer.receiving)) return false;
    beat = peer.in;
    start_receiving(from);
    return true;
  }

 private:
  struct Peer {
    Heartbeat out;
    Heartbeat in;
    MPI_Request sending = MPI_REQUEST_NULL;
    MPI_Request receiving = MPI_REQUEST_NULL;
  };

  Peer& at(int rank) { return *peers_[static_cast<std::size_t>(rank)]; }

  void start_receiving(int from) {
    Peer& peer = at(from);
    check_mpi(
        MPI_Irecv(&peer.in, heartbeat_bytes, MPI_BYTE, from, heartbeat_tag, comm_, &peer.receiving),
        "MPI_Irecv", who_);
  }

  bool has_ended(MPI_Request& request) {
    int ended = 0;
    check_mpi(MPI_Test(&request, &ended, MPI_STATUS_IGNORE), "MPI_Test", who_);
    return ended != 0;
  }

  static void give_up(Peer& peer) {
    if (peer.receiving != MPI_REQUEST_NULL) {
      MPI_Cancel(&peer.receiving);
      MPI_Wait(&peer.receiving, MPI_STATUS_IGNORE);
    }
    int left = 1;
    if (peer.sending != MPI_REQUEST_NULL) MPI_Test(&peer.sending, &left, MPI_STATUS_IGNORE);
  }

  std::string who_;
  MPI_Comm comm_ = MPI_COMM_NULL;
  std::vector<std::unique_ptr<Peer>> peers_;  // by rank; null: no messages with that rank
};

}  // namespace

std::unique_ptr<HeartbeatLink> open_heartbeat_link(Communicator& comm) {
  const auto* mpi = dynamic_cast<const MpiComm*>(&comm);
  if (mpi == nullptr || comm.size() == 1) return nullptr;
  std::unique_ptr<HeartbeatLink> link;
  comm.run([&] {
    link = std::make_unique<MpiHeartbeatLink>(mpi->handle(), comm.rank(), comm.size(), comm.name());
  });
  return link;
}

}  // namespace motley
