#include "kernels/plan_search.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/kernels/gemm_test.h"

namespace motley {
namespace {

constexpr GemmShape shape{Dtype::f32, Transpose::b, 2048, 384, 1536};

bool never() {
  return false;
}

/// A plan that is told by its tile alone.
GemmPlan plan_of_rows(std::size_t rows) {
  return {.tile_rows = rows, .tile_columns = 16, .k_block = 512, .row_block_bytes = 65536};
}

/// A clock of which every plan takes the seconds it is given, disturbed in some rounds.
class FakeTimer {
 public:
  /// `seconds` by tile_rows; others cannot be used.
  explicit FakeTimer(std::map<std::size_t, double> seconds) : seconds_(std::move(seconds)) {}
  /// The n-th measurement of these rows takes so many times as long.
  void disturb(std::size_t rows, std::size_t n, double factor) { factors_[{rows, n}] = factor; }
  std::size_t times(std::size_t rows) const {
    const auto found = times_.find(rows);
    return found == times_.end() ? 0 : found->second;
  }

  op::MeasurePlan measure() {
    return [this](const GemmPlan& plan) -> std::optional<double> {
      const auto found = seconds_.find(plan.tile_rows);
      if (found == seconds_.end()) return std::nullopt;
      const auto factor = factors_.find({plan.tile_rows, ++times_[plan.tile_rows]});
      return found->second * (factor == factors_.end() ? 1 : factor->second);
    };
  }

 private:
  std::map<std::size_t, double> seconds_;
  std::map<std::pair<std::size_t, std::size_t>, double> factors_;
  std::map<std::size_t, std::size_t> times_;
};

std::optional<GemmPlan> faster_than_12(FakeTimer& timer, std::vector<std::size_t> rows) {
  std::vector<GemmPlan> others;
  for (const std::size_t r : rows) others.push_back(plan_of_rows(r));
  return op::faster_plan(plan_of_rows(12), others, timer.measure(), never);
}

TEST(PlanSearch, TakesTheFastestOfThoseThatAreClearlyFaster) {
  FakeTimer timer({{12, 1.0}, {8, 0.9}, {6, 0.8}, {4, 0.95}});
  EXPECT_EQ(faster_than_12(timer, {8, 6, 4}), plan_of_rows(6));
}

TEST(PlanSearch, KeepsWhatItHasUnlessTheGainIsClear) {
  FakeTimer timer({{12, 1.0}, {8, 0.98}, {6, 1.0}});
  EXPECT_EQ(faster_than_12(timer, {8, 6}), std::nullopt);
  EXPECT_EQ(faster_than_12(timer, {}), std::nullopt);
}

TEST(PlanSearch, ForgivesOneDisturbedRoundButNotTwo) {
  // The first two measurements of a plan are the first look.
  FakeTimer once({{12, 1.0}, {8, 0.9}});
  once.disturb(8, 4, 3.0);
  EXPECT_EQ(faster_than_12(once, {8}), plan_of_rows(8));
  FakeTimer twice({{12, 1.0}, {8, 0.9}});
  twice.disturb(8, 4, 3.0);
  twice.disturb(8, 6, 3.0);
  EXPECT_EQ(faster_than_12(twice, {8}), std::nullopt);
}

TEST(PlanSearch, DropsTheHopelessAtFirstSight) {
  FakeTimer timer({{12, 1.0}, {8, 2.0}, {6, 0.9}});
  EXPECT_EQ(faster_than_12(timer, {8, 6}), plan_of_rows(6));
  EXPECT_EQ(timer.times(8), 2u);
}

TEST(PlanSearch, StopsTimingWhatCannotWinAnyMore) {
  FakeTimer timer({{12, 1.0}, {8, 1.1}, {6, 0.9}});
  EXPECT_EQ(faster_than_12(timer, {8, 6}), plan_of_rows(6));
  EXPECT_EQ(timer.times(8), 4u) << "slower in two rounds";
  EXPECT_EQ(timer.times(6), 2 + op::SearchSettings{}.rounds);
}

TEST(PlanSearch, LeavesOutWhatCannotBeUsed) {
  FakeTimer timer({{12, 1.0}, {6, 0.9}});
  EXPECT_EQ(faster_than_12(timer, {8, 6}), plan_of_rows(6));
}

TEST(PlanSearch, DecidesNothingWhenTimeIsOut) {
  FakeTimer timer({{12, 1.0}, {8, 0.5}});
  std::size_t asked = 0;
  for (const std::size_t rounds : {std::size_t{0}, std::size_t{1}, std::size_t{4}}) {
    asked = 0;
    const auto out_of_time = [&] { return asked++ >= rounds; };
    EXPECT_EQ(op::faster_plan(plan_of_rows(12), {plan_of_rows(8)}, timer.measure(), out_of_time),
              std::nullopt);
  }
}

/// Seconds by any number of the plan.
template <class Seconds>
op::MeasurePlan timed(Seconds seconds) {
  return [seconds](const GemmPlan& plan) -> std::optional<double> { return seconds(plan); };
}

TEST(PlanSearch, ChangesOneNumberAfterTheOther) {
  Device device = open_poisoned(KernelFamily::cpu);
  const GemmPlan standard = op::default_plan(device, shape);
  const GemmPlan wanted = op::alternatives(device, shape, standard, op::PlanChange::tile).front();
  const auto found = op::search_plan(
      device, shape, timed([&](const GemmPlan& plan) {
        double seconds = 1.0;
        if (plan.tile_columns == wanted.tile_columns && plan.tile_rows == wanted.tile_rows)
          seconds *= 0.9;
        if (plan.k_block == 2048) seconds *= 0.8;
        if (plan.row_block_bytes > 512 << 10) seconds *= 0.7;
        return seconds;
      }),
      never);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->plan.tile_rows, wanted.tile_rows);
  EXPECT_EQ(found->plan.tile_columns, wanted.tile_columns);
  EXPECT_EQ(found->plan.k_block, 2048u);
  EXPECT_EQ(found->plan.row_block_bytes, std::size_t{1} << 20);
  EXPECT_DOUBLE_EQ(found->default_seconds, 1.0);
  EXPECT_DOUBLE_EQ(found->seconds, 0.9 * 0.8 * 0.7);
}

TEST(PlanSearch, KeepsTheDefaultWhereNothingIsFaster) {
  Device device = open_poisoned(KernelFamily::cpu);
  const auto found =
      op::search_plan(device, shape, timed([](const GemmPlan&) { return 0.5; }), never);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->plan, op::default_plan(device, shape));
  EXPECT_EQ(found->seconds, 0.5);
  EXPECT_EQ(found->default_seconds, 0.5);
}

TEST(PlanSearch, ReturnsToTheDefaultWhenTheLastComparisonDoesNotBearItOut) {
  Device device = open_poisoned(KernelFamily::cpu);
  const GemmPlan standard = op::default_plan(device, shape);
  // Faster while it is looked for, then as slow as the default.
  std::size_t measured = 0;
  const GemmPlan lucky = op::alternatives(device, shape, standard, op::PlanChange::tile).front();
  const auto found =
      op::search_plan(device, shape, timed([&](const GemmPlan& plan) {
                        if (!(plan == lucky)) return 1.0;
                        return ++measured <= 2 + op::SearchSettings{}.rounds ? 0.5 : 1.0;
                      }),
                      never);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->plan, standard);
}

TEST(PlanSearch, FindsNothingWithoutADefaultOrTime) {
  Device device = open_poisoned(KernelFamily::cpu);
  EXPECT_FALSE(op::search_plan(
      device, shape, [](const GemmPlan&) { return std::optional<double>(); }, never));
  EXPECT_FALSE(op::search_plan(device, shape, timed([](const GemmPlan&) { return 1.0; }),
                               [] { return true; }));
}

}  // namespace
}  // namespace motley
