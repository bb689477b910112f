// The communicator of a single process: the same code as on many ranks, with nobody to talk to.
#pragma once

#include "dist/communicator.h"

namespace motley {

class SelfComm final : public Communicator {
 public:
  /// `host` is only for messages.
  explicit SelfComm(std::string host = "localhost") : Communicator({.host = std::move(host)}) {}

 private:
  void do_barrier() override {}
  void do_broadcast(std::span<std::byte>, int) override {}
  void do_reduce_scatter(std::span<float>, std::span<const Range>) override {}
  void do_all_gather_shards(std::span<std::byte>, std::span<const Range>) override {}
};

}  // namespace motley
