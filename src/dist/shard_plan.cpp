#include "dist/shard_plan.h"

#include "tensor/checked.h"

namespace motley {
std::vector<Range> split_evenly(std::size_t n, std::size_t parts) {
  require<ConfigError>(parts > 0, "shard.parts", "cannot divide {} elements into 0 parts", n);
  std::vector<Range> ranges;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < parts; ++i) {
    const std::size_t end = begin + n / parts + (i < n % parts ? 1 : 0);
    ranges.push_back({begin, end});
    begin = end;
  }
  return ranges;
}

std::vector<Range> split_aligned(std::size_t n, std::size_t parts, std::size_t alignment) {
  require<ConfigError>(alignment > 0, "shard.alignment",
                       "shards of {} elements cannot be aligned to 0", n);
  std::vector<Range> ranges = split_evenly(ceil_div(n, alignment), parts);
  // Whole blocks are divided; only the last block may be short, so only its end needs clipping.
  for (Range& range : ranges) {
    range.begin = range.begin > n / alignment ? n : range.begin * alignment;
    range.end = range.end > n / alignment ? n : range.end * alignment;
  }
  return ranges;
}

std::vector<Range> bucket_shards(std::size_t n, std::size_t num_ranks) {
  return split_aligned(n, num_ranks, owner_block);
}

}  // namespace motley
