#include "dist/leaf_plan.h"

#include <gtest/gtest.h>

#include <numeric>

#include "tensor/error.h"

namespace motley {
namespace {

std::vector<int> in_rank_order(int num_ranks) {
  std::vector<int> order(static_cast<std::size_t>(num_ranks));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

TEST(LeafPlan, EvenSharesDifferByAtMostOne) {
  for (const std::size_t leaves : {0u, 1u, 2u, 3u, 7u, 8u, 100u}) {
    for (const int num_ranks : {1, 2, 3, 5, 8}) {
      const std::vector<int> order = in_rank_order(num_ranks);
      const LeafPlan plan = even_plan(leaves, order);
      check_plan(plan, leaves, order);
      EXPECT_EQ(plan.num_leaves(), leaves);
      EXPECT_LE(plan.ranges.front().size(), plan.ranges.back().size() + 1);
    }
  }
}

TEST(LeafPlan, FollowsTheOrderOfRanks) {
  const std::vector<int> order{0, 2, 1};  // ranks 0 and 2 share a host
  const LeafPlan plan = even_plan(4, order);
  EXPECT_EQ(plan.ranges, (std::vector<Range>{{0, 2}, {3, 4}, {2, 3}}));
  EXPECT_EQ(plan.counts(), (std::vector<std::size_t>{2, 1, 1}));
  EXPECT_EQ(plan_of_counts(plan.counts(), order), plan);
}

TEST(LeafPlan, AllowsRanksWithoutLeaves) {
  const std::vector<int> order = in_rank_order(3);
  const LeafPlan plan = plan_of_counts(std::vector<std::size_t>{0, 3, 0}, order);
  EXPECT_EQ(plan.ranges, (std::vector<Range>{{0, 0}, {0, 3}, {3, 3}}));
  check_plan(plan, 3, order);
}

TEST(LeafPlan, RefusesGapsOverlapsAndMissingLeaves) {
  const std::vector<int> order = in_rank_order(2);
  check_plan({{{0, 1}, {1, 4}}}, 4, order);
  EXPECT_THROW(check_plan({{{0, 1}, {2, 4}}}, 4, order), ShapeError);
  EXPECT_THROW(check_plan({{{0, 2}, {1, 4}}}, 4, order), ShapeError);
  EXPECT_THROW(check_plan({{{0, 2}, {2, 3}}}, 4, order), ShapeError);
  EXPECT_THROW(check_plan({{{0, 2}, {2, 5}}}, 4, order), ShapeError);
  EXPECT_THROW(check_plan({{{0, 5}, {5, 4}}}, 4, order), ShapeError);
  EXPECT_THROW(check_plan({{{2, 4}, {0, 2}}}, 4, order), ShapeError);
  EXPECT_THROW(check_plan({{{0, 4}}}, 4, order), ShapeError);
}

TEST(LeafPlan, RefusesAnOrderThatIsNone) {
  for (const std::vector<int>& order :
       std::vector<std::vector<int>>{{}, {1}, {0, 0}, {0, 2}, {-1, 0}}) {
    EXPECT_THROW(even_plan(4, order), ShapeError);
    EXPECT_THROW(plan_of_counts(std::vector<std::size_t>{1, 1}, order), ShapeError);
  }
}

}  // namespace
}  // namespace motley
