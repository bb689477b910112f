// The order in which samples are seen: a keyed permutation of the sample numbers, one per epoch. It
// is a function of (seed, epoch, position) and nothing else, so it needs no state, and it does not
// know about ranks, batches or where a run was resumed.
#pragma once

#include <cstdint>

namespace motley {

/// A bijection of [0, num_samples) for every seed and epoch.
///
/// A Feistel network over two digits of base ceil(sqrt(n)), keyed by Philox (Black and Rogaway,
/// "Ciphers with Arbitrary Finite Domains", CT-RSA 2002), walking the cycle when a number is n or
/// above: fewer than sqrt(n) numbers are, so that a second walk is rare. About 100 ns a sample.
class SampleOrder {
 public:
  /// Throws DataError when num_samples is 0.
  SampleOrder(std::uint64_t seed, std::uint64_t num_samples);

  std::uint64_t num_samples() const { return num_samples_; }
  /// The sample at `index` in [0, num_samples) of an epoch.
  std::uint64_t at(std::uint64_t epoch, std::uint64_t index) const;
  /// The sample at a position that counts on through all epochs.
  std::uint64_t sample(std::uint64_t position) const {
    return at(position / num_samples_, position % num_samples_);
  }

 private:
  std::uint64_t seed_;
  std::uint64_t num_samples_;
  std::uint64_t high_base_ = 1;  // the two digits' bases; their product is at least num_samples_
  std::uint64_t low_base_ = 1;
};

}  // namespace motley
