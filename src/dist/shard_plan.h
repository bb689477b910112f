// Who owns what: how leaves, samples and buckets are divided between ranks. Pure arithmetic; every
// rank computes the same plan from the same numbers and nothing is exchanged.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "dist/range.h"

namespace motley {

/// [0, n) in `parts` contiguous ranges whose sizes differ by at most one; the first ones are
/// longer. Ranges are empty when there are more parts than elements. Throws ConfigError when parts
/// is 0.
std::vector<Range> split_evenly(std::size_t n, std::size_t parts);

/// Elements that have one owner: shards start at multiples of this, so that partial sums over such
/// blocks, and with them the norm, do not depend on the number of ranks. A multiple of every
/// device's alignment and vector length.
constexpr std::size_t owner_block = 4096;

/// Who owns what of each bucket: by bucket, then by rank, contiguous ranges of whole blocks that
/// follow each other in the order of ranks. A bucket's blocks are divided evenly; those that are
/// left go to one rank each, taken in turn from `order`, which has every rank once, and the next
/// bucket goes on where this one stopped. So over all buckets no rank owns more than one block more
/// than another, also with more ranks than a bucket has blocks. Throws ConfigError without ranks.
std::vector<std::vector<Range>> plan_owners(std::span<const Range> buckets,
                                            std::span<const int> order);

}  // namespace motley
