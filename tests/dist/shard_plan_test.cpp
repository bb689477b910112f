#include "dist/shard_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
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

std::vector<int> in_rank_order(std::size_t num_ranks) {
  std::vector<int> order(num_ranks);
  std::iota(order.begin(), order.end(), 0);
  return order;
}

/// As src/model/params.cpp cuts a row of parameters: 1 MiB, then 4 MiB each, then the rest.
std::vector<Range> typical_buckets(std::size_t num_blocks) {
  std::vector<Range> buckets{{0, std::min<std::size_t>(64, num_blocks) * owner_block}};
  while (buckets.back().end < num_blocks * owner_block) {
    const std::size_t begin = buckets.back().end;
    buckets.push_back({begin, std::min(begin + 256 * owner_block, num_blocks * owner_block)});
  }
  return buckets;
}

/// Elements by rank, over all buckets.
std::vector<std::size_t> owned_by_rank(const std::vector<std::vector<Range>>& owners) {
  std::vector<std::size_t> owned(owners.at(0).size(), 0);
  for (const std::vector<Range>& shards : owners) {
    for (std::size_t rank = 0; rank < owned.size(); ++rank) owned[rank] += shards[rank].size();
  }
  return owned;
}

TEST(PlanOwners, DividesEveryBucketIntoWholeBlocks) {
  const std::vector<Range> buckets{{0, 0},          {0, 1},         {4096, 8192},
                                   {8192, 30000},   {32768, 40960}, {40960, 40960 + 17 * 4096},
                                   {131072, 135169}};
  for (const std::size_t num_ranks : {1u, 2u, 3u, 8u, 64u}) {
    const auto owners = plan_owners(buckets, in_rank_order(num_ranks));
    ASSERT_EQ(owners.size(), buckets.size());
    for (std::size_t b = 0; b < buckets.size(); ++b) {
      ASSERT_EQ(owners[b].size(), num_ranks);
      std::vector<Range> from_zero;
      for (const Range& shard : owners[b]) {
        from_zero.push_back({shard.begin - buckets[b].begin, shard.end - buckets[b].begin});
        const Range last = from_zero.back();
        EXPECT_TRUE(last.begin % owner_block == 0 || last.empty()) << "bucket " << b;
      }
      expect_partition(from_zero, buckets[b].size());
    }
  }
}

TEST(PlanOwners, GivesNobodyMoreThanABlockMore) {
  for (const std::size_t num_ranks : {2u, 3u, 7u, 255u, 256u, 257u, 1000u, 1024u}) {
    for (const std::size_t num_blocks : {1u, 63u, 3000u, 7711u, 30381u}) {
      const auto owned =
          owned_by_rank(plan_owners(typical_buckets(num_blocks), in_rank_order(num_ranks)));
      const auto [least, most] = std::minmax_element(owned.begin(), owned.end());
      EXPECT_LE(*most - *least, owner_block) << num_blocks << " blocks, " << num_ranks << " ranks";
    }
  }
}

TEST(PlanOwners, SpreadsBucketsOfOneBlockOverRanks) {
  std::vector<Range> buckets;
  for (std::size_t b = 0; b < 5; ++b) buckets.push_back({b * owner_block, (b + 1) * owner_block});
  const std::vector<int> order{0, 2, 1};  // ranks 0 and 1 on one host, 2 on another
  const auto owners = plan_owners(buckets, order);
  for (std::size_t b = 0; b < buckets.size(); ++b)
    EXPECT_EQ(owners[b][static_cast<std::size_t>(order[b % 3])], buckets[b]);
}

TEST(PlanOwners, RefusesNoRanks) {
  EXPECT_THROW(plan_owners(std::vector<Range>{{0, 1}}, {}), ConfigError);
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
