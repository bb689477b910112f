#include "dist/shard_plan.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "tensor/error.h"

namespace motley {
namespace {

/// The ranges follow each other from 0 to n.
void expect_partition(const std::vector<Range>& ranges, std::size_t n) {
  std::size_t end = 0;
  for (const Range& range : ranges) {
    EXPECT_EQ(range.begin, end);
    EXPECT_LE(range.begin, range.end);
    end = range.end;
  }
  EXPECT_EQ(end, n);
}

TEST(SplitEvenly, CoversEverythingInNearlyEqualParts) {
  for (const std::size_t n : {0u, 1u, 2u, 3u, 7u, 64u, 1000u}) {
    for (const std::size_t parts : {1u, 2u, 3u, 5u, 8u, 64u}) {
      const std::vector<Range> ranges = split_evenly(n, parts);
      ASSERT_EQ(ranges.size(), parts);
      expect_partition(ranges, n);
      EXPECT_LE(ranges.front().size(), ranges.back().size() + 1);
    }
  }
}

TEST(SplitEvenly, WorksAtTheTopOfTheRange) {
  const std::size_t most = std::numeric_limits<std::size_t>::max();
  expect_partition(split_evenly(most, 3), most);
}

TEST(SplitEvenly, RefusesNoParts) {
  EXPECT_THROW(split_evenly(5, 0), ConfigError);
}

TEST(SplitByWeight, FollowsTheWeights) {
  EXPECT_EQ(split_by_weight(10, std::vector{1.0, 4.0}), (std::vector<Range>{{0, 2}, {2, 10}}));
  EXPECT_EQ(split_by_weight(10, std::vector{1.0, 1.0, 1.0}),
            (std::vector<Range>{{0, 4}, {4, 7}, {7, 10}}));
  EXPECT_EQ(split_by_weight(2, std::vector{0.0, 5.0, 0.0, 5.0}),
            (std::vector<Range>{{0, 0}, {0, 1}, {1, 1}, {1, 2}}));
}

TEST(SplitByWeight, IsWithinOneOfTheExactShareForAnyWeights) {
  for (std::size_t n = 0; n < 200; n += 7) {
    for (const auto& weights : {std::vector{0.1, 0.2, 0.7}, std::vector{1e-9, 1.0},
                                std::vector{3e200, 1e200}, std::vector{1.0, 0.0, 2.0, 0.0, 4.0}}) {
      const std::vector<Range> ranges = split_by_weight(n, weights);
      expect_partition(ranges, n);
      const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
      for (std::size_t i = 0; i < weights.size(); ++i) {
        EXPECT_LT(std::fabs(static_cast<double>(ranges[i].size()) -
                            static_cast<double>(n) * (weights[i] / sum)),
                  1.0 + 1e-9);
        EXPECT_TRUE(weights[i] > 0.0 || ranges[i].empty());
      }
    }
  }
}

TEST(SplitByWeight, RefusesWeightsThatMeanNothing) {
  EXPECT_THROW(split_by_weight(5, {}), ConfigError);
  EXPECT_THROW(split_by_weight(5, std::vector{0.0, 0.0}), ConfigError);
  EXPECT_THROW(split_by_weight(5, std::vector{1.0, -1.0}), ConfigError);
  EXPECT_THROW(split_by_weight(5, std::vector{1.0, std::nan("")}), ConfigError);
  EXPECT_THROW(split_by_weight(5, std::vector{1.0, HUGE_VAL}), ConfigError);
}

TEST(SplitAligned, StartsAtMultiplesAndCoversAll) {
  for (const std::size_t n : {0u, 1u, 63u, 64u, 65u, 127u, 128u, 129u, 1000u}) {
    for (const std::size_t parts : {1u, 2u, 3u, 8u}) {
      for (const std::size_t alignment : {1u, 64u}) {
        const std::vector<Range> ranges = split_aligned(n, parts, alignment);
        expect_partition(ranges, n);
        for (const Range& range : ranges)
          EXPECT_TRUE(range.begin % alignment == 0 || range.begin == n);
      }
    }
  }
  EXPECT_EQ(split_aligned(130, 2, 64), (std::vector<Range>{{0, 128}, {128, 130}}));
}

TEST(SplitAligned, RefusesNoAlignment) {
  EXPECT_THROW(split_aligned(5, 1, 0), ConfigError);
}

TEST(Range, Intersects) {
  EXPECT_EQ(intersect({2, 6}, {4, 9}), (Range{4, 6}));
  EXPECT_EQ(intersect({2, 6}, {0, 9}), (Range{2, 6}));
  EXPECT_EQ(intersect({2, 6}, {3, 4}), (Range{3, 4}));
  EXPECT_TRUE(intersect({2, 6}, {6, 9}).empty());
  EXPECT_TRUE(intersect({2, 6}, {0, 1}).empty());
}

}  // namespace
}  // namespace motley
