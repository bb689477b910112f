#include "dist/plan_schedule.h"

#include <gtest/gtest.h>

#include <thread>

#include "tensor/error.h"

namespace motley {
namespace {

LeafPlan split_at(std::size_t leaf) {
  return {{{0, leaf}, {leaf, 4}}};
}

TEST(PlanSchedule, HoldsEachPlanUntilTheNext) {
  PlanSchedule schedule(10, split_at(2));
  schedule.change(15, split_at(1));
  schedule.change(17, split_at(2));
  EXPECT_EQ(schedule.plan(10), split_at(2));
  EXPECT_EQ(schedule.plan(14), split_at(2));
  EXPECT_EQ(schedule.plan(15), split_at(1));
  EXPECT_EQ(schedule.plan(16), split_at(1));
  EXPECT_EQ(schedule.plan(1000), split_at(2));
  EXPECT_EQ(schedule.plan_if_kept(15), split_at(1));
}

TEST(PlanSchedule, ReplacesAPlanThatHasNotBegun) {
  PlanSchedule schedule(0, split_at(2));
  schedule.change(5, split_at(1));
  schedule.change(5, split_at(3));
  EXPECT_EQ(schedule.plan(5), split_at(3));
  EXPECT_THROW(schedule.change(4, split_at(1)), ShapeError);
}

TEST(PlanSchedule, ForgetsWhatIsOver) {
  PlanSchedule schedule(0, split_at(2));
  schedule.change(5, split_at(1));
  schedule.forget_before(4);
  EXPECT_EQ(schedule.plan(4), split_at(2));
  schedule.forget_before(5);
  EXPECT_EQ(schedule.plan(5), split_at(1));
  EXPECT_FALSE(schedule.plan_if_kept(4).has_value());
  EXPECT_THROW(schedule.plan(4), ShapeError);
  schedule.forget_before(100);
  EXPECT_EQ(schedule.plan(100), split_at(1));
}

// The one that reads ahead sees a whole plan at any time, be it the one before a change or after
// it.
TEST(PlanSchedule, IsReadWhileItChanges) {
  PlanSchedule schedule(0, split_at(0));
  std::thread reader([&] {
    for (std::uint64_t step = 0; step < 2000; ++step) {
      const LeafPlan plan = schedule.plan(2000 + step);
      ASSERT_EQ(plan.ranges.size(), 2u);
      EXPECT_EQ(plan, split_at(plan.ranges[1].begin));
      EXPECT_TRUE(schedule.plan_if_kept(2000 + step).has_value());
    }
  });
  for (std::uint64_t step = 0; step < 2000; ++step) {
    schedule.change(step, split_at(step % 5));
    schedule.forget_before(step);
  }
  reader.join();
}

}  // namespace
}  // namespace motley
