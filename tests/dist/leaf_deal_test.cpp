#include "dist/leaf_deal.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "dist/tree_sum.h"
#include "tensor/error.h"

namespace motley {
namespace {

using Leaves = std::vector<std::size_t>;

/// Three ranks, of which 0 and 2 share a host.
const std::vector<int> order = {0, 2, 1};

LeafPlan plan_with(const std::vector<std::size_t>& counts) {
  return plan_of_counts(counts, order);
}

TEST(LeafDeal, IsThePlanWhenGradientsAreSummedOnce) {
  const LeafDeal deal = deal_leaves(plan_with({4, 1, 2}), order, Dealing::once);
  ASSERT_EQ(deal.rounds.size(), 1u);
  EXPECT_EQ(deal.rounds[0], (LeafDeal::Round{{0, 4}, {6, 7}, {4, 6}}));
  EXPECT_EQ(deal.leaves(0), (Leaves{0, 1, 2, 3}));
  EXPECT_EQ(deal.leaves(1), (Leaves{6}));
  EXPECT_EQ(deal.leaves(2), (Leaves{4, 5}));
}

TEST(LeafDeal, NumbersLeavesThroughTheRounds) {
  const LeafDeal deal = deal_leaves(plan_with({2, 2, 2}), order, Dealing::rounds);
  ASSERT_EQ(deal.rounds.size(), 2u);
  EXPECT_EQ(deal.rounds[0], (LeafDeal::Round{{0, 1}, {2, 3}, {1, 2}}));
  EXPECT_EQ(deal.rounds[1], (LeafDeal::Round{{3, 4}, {5, 6}, {4, 5}}));
  EXPECT_EQ(deal.leaves(2), (Leaves{1, 4}));
}

TEST(LeafDeal, SpreadsTheLeavesOfSlowRanks) {
  // Rank 1 has a leaf in every other round, rank 2 none at all.
  const LeafDeal deal = deal_leaves(plan_with({4, 2, 0}), order, Dealing::rounds);
  ASSERT_EQ(deal.rounds.size(), 4u);
  std::vector<std::size_t> of_rank_1;
  for (const LeafDeal::Round& round : deal.rounds) of_rank_1.push_back(round[1].size());
  EXPECT_EQ(of_rank_1, (Leaves{1, 0, 1, 0}));
  EXPECT_EQ(deal.leaves(1), (Leaves{1, 4}));
  EXPECT_TRUE(deal.leaves(2).empty());
}

TEST(LeafDeal, GivesEveryLeafOnceWhateverTheCounts) {
  for (const std::vector<std::size_t>& counts : std::vector<std::vector<std::size_t>>{
           {0, 0, 1}, {1, 0, 0}, {7, 0, 0}, {5, 3, 1}, {13, 12, 11}, {1, 100, 33}}) {
    const LeafDeal deal = deal_leaves(plan_with(counts), order, Dealing::rounds);
    EXPECT_EQ(deal.rounds.size(), *std::max_element(counts.begin(), counts.end()));
    std::size_t next = 0;
    for (const LeafDeal::Round& round : deal.rounds) {
      const std::size_t begin = next;
      for (const int rank : order) {
        const Range& range = round[static_cast<std::size_t>(rank)];
        EXPECT_EQ(range.begin, next);
        EXPECT_LE(range.size(), 1u);
        next = range.end;
      }
      EXPECT_GT(next, begin) << "a round without a leaf";
    }
    EXPECT_EQ(next, deal.num_leaves);
    for (int rank = 0; rank < 3; ++rank)
      EXPECT_EQ(deal.leaves(rank).size(), counts[static_cast<std::size_t>(rank)]);
  }
}

TEST(LeafDeal, MakesOneNodeOfARoundOfAPowerOfTwo) {
  const std::vector<int> four = {0, 1, 2, 3};
  const LeafDeal deal = deal_leaves(even_plan(11, four), four, Dealing::rounds);
  ASSERT_EQ(deal.rounds.size(), 3u);
  for (const LeafDeal::Round& round : deal.rounds)
    EXPECT_EQ(maximal_nodes({round[0].begin, round[3].end}, 11).size(), 1u);
}

TEST(LeafDeal, RefusesAnotherOrderThanThePlans) {
  const std::vector<int> other = {1, 0, 2};
  EXPECT_THROW(deal_leaves(plan_with({1, 1, 1}), other, Dealing::rounds), ShapeError);
}

}  // namespace
}  // namespace motley
