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
