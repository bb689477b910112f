// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as
// 1, 2, 3", SC 2011). No state: a number depends only on its key and its counter, so it is the same
// on every rank, thread and device. kernels/philox.clh computes the same bits in OpenCL C.
#pragma once

#include <array>
#include <cstdint>

namespace motley {

/// What a random number is for. Part of the key, so that uses never share numbers.
enum class Purpose : std::uint32_t { init = 1, shuffle = 2, sample = 3, test = 4, rounding = 5 };

using PhiloxBlock = std::array<std::uint32_t, 4>;

namespace detail {
inline PhiloxBlock philox_round(const PhiloxBlock& c, std::uint32_t key0, std::uint32_t key1) {
  const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c[0];
  const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * c[2];
  return {static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ key0, static_cast<std::uint32_t>(p1),
          static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ key1, static_cast<std::uint32_t>(p0)};
}
}  // namespace detail

/// Four random words for a counter under a key.
inline PhiloxBlock philox(PhiloxBlock counter, std::uint32_t key0, std::uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    counter = detail::philox_round(counter, key0, key1);
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

/// A family of numbers named by (seed, purpose, stream); `block(i)` is its i-th group of four
/// words.
class Random {
 public:
  Random(std::uint64_t seed, Purpose purpose, std::uint64_t stream = 0)
      : key0_(static_cast<std::uint32_t>(seed)),
        key1_(static_cast<std::uint32_t>(seed >> 32) ^ (static_cast<std::uint32_t>(purpose) << 24)),
        stream_(stream) {}

  PhiloxBlock block(std::uint64_t index) const {
    return philox({static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32),
                   static_cast<std::uint32_t>(stream_), static_cast<std::uint32_t>(stream_ >> 32)},
                  key0_, key1_);
  }
  std::uint32_t word(std::uint64_t index) const { return block(index / 4)[index % 4]; }
  /// Uniform in [0, 1) with 24 random bits.
  float uniform(std::uint64_t index) const {
    return static_cast<float>(word(index) >> 8) * (1.0f / 16777216.0f);
  }
  std::uint32_t key0() const { return key0_; }
  std::uint32_t key1() const { return key1_; }
  std::uint64_t stream() const { return stream_; }

 private:
  std::uint32_t key0_;
  std::uint32_t key1_;
  std::uint64_t stream_;
};

}  // namespace motley
