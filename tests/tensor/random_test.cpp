#include "tensor/random.h"

#include <gtest/gtest.h>

#include <set>

namespace motley {
namespace {

// The vectors for philox4x32 with 10 rounds in Random123's kat_vectors.
struct KnownAnswer {
  PhiloxBlock counter;
  std::uint32_t key0;
  std::uint32_t key1;
  PhiloxBlock expected;
};

TEST(Philox, GivesTheKnownAnswers) {
  constexpr std::uint32_t ones = 0xffffffffu;
  const KnownAnswer rows[] = {
      {{0, 0, 0, 0}, 0, 0, {0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u}},
      {{ones, ones, ones, ones}, ones, ones, {0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu}},
      {{0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u},
       0xa4093822u,
       0x299f31d0u,
       {0xd16cfe09u, 0x94fdcceb, 0x5001e420u, 0x24126ea1u}},
  };
  for (const KnownAnswer& row : rows) {
    EXPECT_EQ(philox(row.counter, row.key0, row.key1), row.expected) << "key " << row.key0;
  }
}

TEST(Random, WordsAreThoseOfTheBlocks) {
  const Random random(42, Purpose::test, 7);
  for (std::uint64_t i = 0; i < 12; ++i) EXPECT_EQ(random.word(i), random.block(i / 4)[i % 4]);
}

TEST(Random, SeedPurposeStreamAndBlockAllMatter) {
  constexpr std::uint64_t high = std::uint64_t{1} << 32;
  const std::set<PhiloxBlock> blocks = {
      Random(1, Purpose::init, 0).block(0),        Random(2, Purpose::init, 0).block(0),
      Random(1 + high, Purpose::init, 0).block(0), Random(1, Purpose::sample, 0).block(0),
      Random(1, Purpose::init, 1).block(0),        Random(1, Purpose::init, high).block(0),
      Random(1, Purpose::init, 0).block(1),        Random(1, Purpose::init, 0).block(high),
  };
  EXPECT_EQ(blocks.size(), 8u);
}

TEST(Random, UniformsFillTheirIntervalEvenly) {
  constexpr std::size_t num_bins = 16;
  constexpr std::size_t per_bin = 4096;
  const Random random(3, Purpose::test);
  std::array<double, num_bins> counts{};
  for (std::uint64_t i = 0; i < num_bins * per_bin; ++i) {
    const float u = random.uniform(i);
    ASSERT_GE(u, 0.0f);
    ASSERT_LT(u, 1.0f);
    counts[static_cast<std::size_t>(u * static_cast<float>(num_bins))] += 1;
  }
  // Binomial: five standard deviations of sqrt(4096 * 15/16), about 62. The seed is fixed.
  for (const double count : counts) EXPECT_NEAR(count, static_cast<double>(per_bin), 5 * 62.0);
}

}  // namespace
}  // namespace motley
