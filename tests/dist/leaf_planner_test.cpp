#include "dist/leaf_planner.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "tensor/error.h"
#include "tensor/random.h"

namespace motley {
namespace {

using Counts = std::vector<std::size_t>;
constexpr double unknown = std::numeric_limits<double>::infinity();

std::vector<int> in_rank_order(std::size_t num_ranks) {
  std::vector<int> order(num_ranks);
  std::iota(order.begin(), order.end(), 0);
  return order;
}

Counts choose(const std::vector<double>& seconds, std::size_t leaves, double node_seconds = 0) {
  const std::vector<int> order = in_rank_order(seconds.size());
  const LeafPlan plan = choose_plan({seconds, node_seconds}, leaves, order);
  check_plan(plan, leaves, order);
  return plan.counts();
}

TEST(ChoosePlan, DividesInProportionToSpeed) {
  EXPECT_EQ(choose({1, 1}, 8), (Counts{4, 4}));
  EXPECT_EQ(choose({1, 1, 1, 1}, 8), (Counts{2, 2, 2, 2}));
  EXPECT_EQ(choose({1, 1, 2}, 10), (Counts{4, 4, 2}));
  EXPECT_EQ(choose({3, 1}, 8), (Counts{2, 6}));
  EXPECT_EQ(choose({5}, 7), (Counts{7}));
}

TEST(ChoosePlan, LeavesOutWhoeverWouldDelayTheOthers) {
  EXPECT_EQ(choose({1, 1, 20}, 8), (Counts{4, 4, 0}));
  EXPECT_EQ(choose({1, 1, 3.5}, 9), (Counts{4, 4, 1}));
  EXPECT_EQ(choose({1, unknown, 1}, 8), (Counts{4, 0, 4}));
}

TEST(ChoosePlan, GivesFewLeavesToTheFastest) {
  EXPECT_EQ(choose({3, 2, 1, 1}, 2), (Counts{0, 0, 1, 1}));
}

TEST(ChoosePlan, PrefersAlignedSplitsAmongEqualOnes) {
  // Rank 1's two leaves in the middle would be two nodes: [1, 2) and [2, 3).
  EXPECT_EQ(choose({1, 1, 1}, 4), (Counts{1, 1, 2}));
  // Three ranks could do it as fast, but all that have time for a leaf are to have one.
  EXPECT_EQ(choose({1, 1, 1, 1}, 5), (Counts{1, 1, 2, 1}));
}

TEST(ChoosePlan, TakesALittleLongerForFewerNodes) {
  // 5 + 3 leaves end at 5.0 s and 4 + 4 at 5.1 s, within the tie of 3 %.
  EXPECT_EQ(choose({1, 1.275}, 8), (Counts{4, 4}));
  EXPECT_EQ(choose({1, 1.4}, 8), (Counts{5, 3}));
  // A node is worth more than the 0.6 s that the aligned split costs.
  EXPECT_EQ(choose({1, 1.4}, 8, 1.0), (Counts{4, 4}));
}

// Against all ways to divide the leaves.
TEST(ChoosePlan, IsNearlyAsShortAsTheBestOfAll) {
  constexpr std::size_t leaves = 7;
  for (std::uint32_t seed = 0; seed < 50; ++seed) {
    const auto numbers = philox({seed, 0, 0, 0}, 1, 2);
    std::vector<double> seconds;
    for (std::size_t r = 0; r < 3; ++r)
      seconds.push_back(1 + 4 * static_cast<double>(numbers[r]) / 4294967296.0);
    const LeafCosts costs{seconds, 0.3};
    const std::vector<int> order = in_rank_order(3);
    double best = unknown;
    for (std::size_t a = 0; a <= leaves; ++a) {
      for (std::size_t b = 0; a + b <= leaves; ++b) {
        const LeafPlan plan = plan_of_counts(Counts{a, b, leaves - a - b}, order);
        best = std::min(best, predicted_seconds(plan, costs));
      }
    }
    EXPECT_LE(predicted_seconds(choose_plan(costs, leaves, order), costs), best * 1.07)
        << "seed " << seed;
  }
}

TEST(ChoosePlan, CopesWithManyRanksAndLeaves) {
  const Counts counts = choose(std::vector<double>(1024, 0.5), 8192);
  for (const std::size_t count : counts) EXPECT_EQ(count, 8u);
}

TEST(ChoosePlan, KeepsTheOrderOfHosts) {
  const std::vector<int> order{0, 2, 1};
  const LeafPlan plan = choose_plan({{1, 2, 1}, 0}, 5, order);
  check_plan(plan, 5, order);
  EXPECT_EQ(plan.counts(), (Counts{2, 1, 2}));
}

TEST(ChoosePlan, RefusesWhenNothingIsKnown) {
  EXPECT_THROW(choose({unknown, unknown}, 2), ShapeError);
  EXPECT_THROW(choose_plan({{1, 1}, 0}, 2, std::vector<int>{0, 0}), ShapeError);
}

TEST(PredictedSeconds, IsTheBusiestRankPlusExtraNodes) {
  const std::vector<int> order = in_rank_order(2);
  const LeafPlan plan = plan_of_counts(Counts{3, 5}, order);
  EXPECT_DOUBLE_EQ(predicted_seconds(plan, {{1, 2}, 0}), 10);
  EXPECT_DOUBLE_EQ(predicted_seconds(plan, {{1, 2}, 0.5}), 10.5);  // [3, 4) and [4, 8)
  const LeafPlan without = plan_of_counts(Counts{8, 0}, order);
  EXPECT_DOUBLE_EQ(predicted_seconds(without, {{1, unknown}, 0.5}), 8);
}

TEST(PlanWithOneLeaf, MeasuresARankAndDividesTheRest) {
  const std::vector<int> order = in_rank_order(3);
  EXPECT_EQ(plan_with_one_leaf(1, {{1, unknown, 1}, 0}, 8, order).counts(), (Counts{4, 1, 3}));
  EXPECT_EQ(plan_with_one_leaf(0, {{9, 1, 1}, 0}, 1, order).counts(), (Counts{1, 0, 0}));
  EXPECT_THROW(plan_with_one_leaf(3, {{1, 1, 1}, 0}, 8, order), ShapeError);
}

}  // namespace
}  // namespace motley
