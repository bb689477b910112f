#include "dist/shard_plan.h"

#include <algorithm>
#include <utility>

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

std::vector<std::vector<Range>> plan_owners(std::span<const Range> buckets,
                                            std::span<const int> order) {
  require<ConfigError>(!order.empty(), "shard.order",
                       "{} buckets cannot be divided between 0 ranks", buckets.size());
  const std::size_t num_ranks = order.size();
  std::vector<std::vector<Range>> owners;
  std::size_t next = 0;  // in `order`: whose turn it is to own one block more
  for (const Range& bucket : buckets) {
    const std::size_t num_blocks = ceil_div(bucket.size(), owner_block);
    std::vector<std::size_t> counts(num_ranks, num_blocks / num_ranks);
    for (std::size_t i = 0; i < num_blocks % num_ranks; ++i, next = (next + 1) % num_ranks)
      ++counts[static_cast<std::size_t>(order[next])];
    std::vector<Range> shards;
    std::size_t begin = bucket.begin;
    for (const std::size_t count : counts) {
      // Only the bucket's last block may be short.
      const std::size_t size = std::min(count * owner_block, bucket.end - begin);
      shards.push_back({begin, begin + size});
      begin += size;
    }
    owners.push_back(std::move(shards));
  }
  return owners;
}

}  // namespace motley
