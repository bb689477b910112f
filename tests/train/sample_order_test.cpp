#include "train/sample_order.h"

#include <gtest/gtest.h>

#include <vector>

#include "tensor/error.h"

namespace motley {
namespace {

std::vector<std::uint64_t> epoch_of(const SampleOrder& order, std::uint64_t epoch) {
  std::vector<std::uint64_t> samples;
  for (std::uint64_t i = 0; i < order.num_samples(); ++i) samples.push_back(order.at(epoch, i));
  return samples;
}

class Permutation : public testing::TestWithParam<std::uint64_t> {};

TEST_P(Permutation, MeetsEverySampleOnce) {
  const std::uint64_t n = GetParam();
  for (const std::uint64_t seed : {0u, 1u, 1337u}) {
    const SampleOrder order(seed, n);
    for (const std::uint64_t epoch : {0u, 1u, 7u}) {
      std::vector<int> seen(n, 0);
      for (const std::uint64_t sample : epoch_of(order, epoch)) {
        ASSERT_LT(sample, n);
        ++seen[sample];
      }
      EXPECT_EQ(seen, std::vector<int>(n, 1)) << "seed " << seed << " epoch " << epoch;
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Sizes, Permutation,
                         testing::Values(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 16, 17, 31, 64, 99, 100,
                                         101, 127, 255, 256, 257, 1000, 1009, 4097, 10007));

TEST(SampleOrder, HasNotChanged) {
  // A run is resumed in the order that it began with: these figures hold for ever. They were
  // computed by a second implementation.
  EXPECT_EQ(epoch_of(SampleOrder(1337, 10), 0),
            (std::vector<std::uint64_t>{3, 1, 5, 4, 9, 0, 2, 6, 7, 8}));
  EXPECT_EQ(epoch_of(SampleOrder(1337, 10), 1),
            (std::vector<std::uint64_t>{7, 5, 9, 4, 0, 6, 2, 1, 3, 8}));
  const SampleOrder large(std::uint64_t{1} << 40, 123'456'789'012);
  EXPECT_EQ(large.at(0, 0), 29219598178u);
  EXPECT_EQ(large.at(3, 123'456'789'011), 119698481149u);
}

TEST(SampleOrder, DiffersBySeedAndEpoch) {
  const std::vector<std::uint64_t> samples = epoch_of(SampleOrder(1, 1000), 0);
  for (const std::vector<std::uint64_t>& other :
       {epoch_of(SampleOrder(2, 1000), 0), epoch_of(SampleOrder(1, 1000), 1)}) {
    int equal = 0;
    for (std::size_t i = 0; i < samples.size(); ++i) equal += samples[i] == other[i] ? 1 : 0;
    // Two independent permutations agree in one place on average (Poisson): 8 or more has odds of
    // 1e-5.
    EXPECT_LT(equal, 8);
  }
}

TEST(SampleOrder, SpreadsNeighbours) {
  // The mean distance of two random numbers below n is n / 3, here with a standard error of 1 %.
  const std::uint64_t n = 1000;
  const std::vector<std::uint64_t> samples = epoch_of(SampleOrder(5, n), 0);
  double sum = 0;
  for (std::size_t i = 1; i < n; ++i) {
    sum += std::abs(static_cast<double>(samples[i]) - static_cast<double>(samples[i - 1]));
  }
  EXPECT_NEAR(sum / static_cast<double>(n - 1) / static_cast<double>(n), 1.0 / 3, 0.05);
}

TEST(SampleOrder, GoesOnThroughTheEpochs) {
  const SampleOrder order(1, 7);
  for (std::uint64_t position = 0; position < 30; ++position) {
    EXPECT_EQ(order.sample(position), order.at(position / 7, position % 7));
  }
}

TEST(SampleOrder, WorksAtTheLargestSize) {
  const std::uint64_t n = (std::uint64_t{1} << 62) - 1;
  const SampleOrder order(1, n);
  for (const std::uint64_t index : {std::uint64_t{0}, n / 2, n - 1})
    EXPECT_LT(order.at(0, index), n);
}

TEST(SampleOrder, RefusesWhatItCannotOrder) {
  EXPECT_THROW(SampleOrder(1, 0), DataError);
  EXPECT_THROW(SampleOrder(1, std::uint64_t{1} << 62), DataError);
  EXPECT_THROW(SampleOrder(1, 5).at(0, 5), DataError);
}

}  // namespace
}  // namespace motley
