// One process on its own: the same code as on many ranks, with nobody to exchange anything with.
#pragma once

#include "dist/communicator.h"
#include "tensor/error.h"

namespace motley {

class SelfComm final : public Communicator {
 public:
  /// Needs no name for its host but shows it in messages.
  explicit SelfComm(std::string host = "localhost")
      : Communicator({.host = std::move(host)}, nullptr) {}

  std::unique_ptr<Transfers> transfers() override { return std::make_unique<NoTransfers>(); }

 private:
  /// There is no rank to send to.
  class NoTransfers final : public Transfers {
   public:
    void send(std::span<const std::byte>, int to) override { refuse(to); }
    void receive(std::span<std::byte>, int from) override { refuse(from); }
    bool test() override { return true; }

   private:
    static void refuse(int rank) {
      fail<CommError>("comm.peer", "a lone process has no rank {} to exchange messages with", rank);
    }
  };
};

}  // namespace motley
