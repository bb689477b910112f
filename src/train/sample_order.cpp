#include "train/sample_order.h"

#include <algorithm>
#include <cmath>

#include "tensor/error.h"
#include "tensor/random.h"

namespace motley {
namespace {

// Four rounds of a good round function make a strong pseudorandom permutation (Luby and Rackoff);
// with digits as small as 2 the bound says little, and two more rounds cost nothing worth
// measuring.
constexpr std::uint64_t num_rounds = 6;

/// n is at least 1, and so is its root.
std::uint64_t ceil_sqrt(std::uint64_t n) {
  auto root =
      std::max(std::uint64_t{1}, static_cast<std::uint64_t>(std::sqrt(static_cast<double>(n))));
  // The double may be off by one either way; n below 2^62 keeps the squares within 64 bits.
  while (root * root < n) ++root;
  while (root > 1 && (root - 1) * (root - 1) >= n) --root;
  return root;
}

std::uint64_t mix(const Random& random, std::uint64_t round, std::uint64_t digit) {
  // Digits are below 2^32: they and the round fit one counter.
  const PhiloxBlock block = random.block((round << 32) | digit);
  return block[0] | (std::uint64_t{block[1]} << 32);
}

}  // namespace

SampleOrder::SampleOrder(std::uint64_t seed, std::uint64_t num_samples)
    : seed_(seed), num_samples_(num_samples) {
  require<DataError>(num_samples > 0, "data.too-small", "there is no sample to put in an order");
  require<DataError>(num_samples < std::uint64_t{1} << 62, "data.too-large",
                     "{} samples are more than can be ordered (2^62)", num_samples);
  low_base_ = ceil_sqrt(num_samples);
  high_base_ = num_samples / low_base_ + (num_samples % low_base_ != 0 ? 1 : 0);
}

std::uint64_t SampleOrder::at(std::uint64_t epoch, std::uint64_t index) const {
  require<DataError>(index < num_samples_, "data.range", "sample {} of {} was asked for", index,
                     num_samples_);
  const Random random(seed_, Purpose::shuffle, epoch);
  std::uint64_t high = index / low_base_;
  std::uint64_t low = index % low_base_;
  do {
    for (std::uint64_t round = 0; round < num_rounds; round += 2) {
      high = (high + mix(random, round, low) % high_base_) % high_base_;
      low = (low + mix(random, round + 1, high) % low_base_) % low_base_;
    }
  } while (high * low_base_ + low >= num_samples_);
  return high * low_base_ + low;
}

}  // namespace motley
