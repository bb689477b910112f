// Whether all ranks still hold the same parameters, by a hash of each bucket. Replicas are equal by
// construction; what makes them differ is a fault of memory, of a device or of ours.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "dist/communicator.h"
#include "model/params.h"
#include "tensor/stream.h"

namespace motley {

/// A rank that differs from the others, and the buckets in which it does.
struct Divergence {
  int rank = 0;
  std::vector<std::size_t> buckets;
  friend bool operator==(const Divergence&, const Divergence&) = default;
};

/// hashes: those of rank 0's buckets, then rank 1's and so on. In every bucket the hash that most
/// ranks have is right; of several that as many ranks have, the lowest rank's.
std::vector<Divergence> find_divergence(std::span<const std::uint64_t> hashes,
                                        std::size_t num_buckets);

/// Collective. Hashes this rank's values and compares with all ranks. Throws NumericError on every
/// rank, naming the ranks and buckets that differ. Waits for the device.
void check_replicas(Communicator& comm, Stream& s, const ParamStore& params, std::uint64_t step);

}  // namespace motley
