// An operation in the flight recorder for as long as it lives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "dist/communicator.h"

namespace motley {

/// Begins an operation on a bucket, waiting for `peer` if that is a rank, and ends it with the
/// scope. bytes: that this rank sends and receives in it.
class Recorded {
 public:
  Recorded(Communicator& comm, std::string_view what, std::size_t bucket, int peer = -1,
           std::uint64_t bytes = 0)
      : comm_(comm) {
    comm_.recorder().begin(what, static_cast<int>(bucket), peer, bytes);
  }
  Recorded(const Recorded&) = delete;
  Recorded& operator=(const Recorded&) = delete;
  ~Recorded() { comm_.recorder().end(); }

 private:
  Communicator& comm_;
};

}  // namespace motley
