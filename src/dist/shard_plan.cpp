#include "dist/shard_plan.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tensor/checked.h"

namespace motley {
namespace {

constexpr std::size_t shard_alignment = 64;  // elements: 256 bytes of f32, 128 of a 16-bit type

std::vector<Range> ranges_of(std::span<const std::size_t> sizes) {
  std::vector<Range> ranges;
  std::size_t begin = 0;
  for (const std::size_t size : sizes) {
    ranges.push_back({begin, begin + size});
    begin += size;
  }
  return ranges;
}

}  // namespace

std::vector<Range> split_evenly(std::size_t n, std::size_t parts) {
  require<ConfigError>(parts > 0, "shard.parts", "cannot divide {} elements into 0 parts", n);
  std::vector<std::size_t> sizes(parts, n / parts);
  for (std::size_t i = 0; i < n % parts; ++i) ++sizes[i];
  return ranges_of(sizes);
}

std::vector<Range> split_by_weight(std::size_t n, std::span<const double> weights) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  const bool valid = std::all_of(weights.begin(), weights.end(),
                                 [](double w) { return std::isfinite(w) && w >= 0.0; });
  require<ConfigError>(
      valid && std::isfinite(sum) && sum > 0.0, "shard.weights",
      "the {} weights that divide {} elements must be finite and not negative, and "
      "one must be positive; their sum is {}",
      weights.size(), n, sum);
  std::vector<std::size_t> sizes(weights.size());
  std::vector<double> remainders(weights.size());
  std::size_t left = n;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double exact = static_cast<double>(n) * (weights[i] / sum);
    sizes[i] = std::min(static_cast<std::size_t>(exact), left);
    // A rank without weight never gets one of the elements that rounding left over.
    remainders[i] = weights[i] > 0.0 ? exact - std::floor(exact) : -1.0;
    left -= sizes[i];
  }
  std::vector<std::size_t> order(weights.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return remainders[a] > remainders[b]; });
  const auto num_weighted = static_cast<std::size_t>(
      std::count_if(weights.begin(), weights.end(), [](double w) { return w > 0.0; }));
  for (std::size_t i = 0; left > 0; ++i, --left) ++sizes[order[i % num_weighted]];
  return ranges_of(sizes);
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
  return split_aligned(n, num_ranks, shard_alignment);
}

}  // namespace motley
