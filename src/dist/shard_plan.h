// Who owns what: how leaves, samples and buckets are divided between ranks. Pure arithmetic; every
// rank computes the same plan from the same numbers and nothing is exchanged.
#pragma once

#include <cstddef>
#include <vector>

#include "dist/range.h"

namespace motley {

/// [0, n) in `parts` contiguous ranges whose sizes differ by at most one; the first ones are
/// longer. Ranges are empty when there are more parts than elements. Throws ConfigError when parts
/// is 0.
std::vector<Range> split_evenly(std::size_t n, std::size_t parts);

/// [0, n) in `parts` contiguous ranges that start at multiples of `alignment`, as even as that
/// allows. Throws ConfigError when parts or alignment is 0.
std::vector<Range> split_aligned(std::size_t n, std::size_t parts, std::size_t alignment);

/// Elements that have one owner: shards start at multiples of this, so that partial sums over such
/// blocks, and with them the norm, do not depend on the number of ranks. A multiple of every
/// device's alignment and vector length.
constexpr std::size_t owner_block = 4096;

/// How a bucket of n parameters is divided between its owners, in whole blocks.
std::vector<Range> bucket_shards(std::size_t n, std::size_t num_ranks);

}  // namespace motley
