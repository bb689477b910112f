#include "dist/leaf_speed.h"

#include <gtest/gtest.h>

#include <cmath>

namespace motley {
namespace {

LeafSpeed steady(double seconds, std::uint64_t last_step) {
  LeafSpeed speed;
  for (std::uint64_t step = 1; step <= last_step; ++step) speed.observe(step, seconds);
  return speed;
}

TEST(LeafSpeed, KnowsNothingUntilTheSecondStep) {
  LeafSpeed speed;
  EXPECT_FALSE(speed.is_known());
  EXPECT_TRUE(std::isinf(speed.seconds()));
  speed.observe(1, 100);  // builds kernels
  EXPECT_FALSE(speed.is_known());
  speed.observe(2, 1.5);
  EXPECT_TRUE(speed.is_known());
  EXPECT_DOUBLE_EQ(speed.seconds(), 1.5);
  EXPECT_EQ(speed.last_step(), 2u);
}

TEST(LeafSpeed, IgnoresOneStepThatIsOutOfLine) {
  for (const std::uint64_t before : {1u, 2u, 3u, 30u}) {
    LeafSpeed speed = steady(1, before);
    speed.observe(before + 1, 50);
    speed.observe(before + 2, 1);
    speed.observe(before + 3, 1);
    EXPECT_NEAR(speed.seconds(), 1, 1e-12) << "after " << before << " steps";
  }
}

TEST(LeafSpeed, FollowsAChangeWithinThirtySteps) {
  LeafSpeed speed = steady(1, 200);
  for (std::uint64_t step = 201; step <= 210; ++step) speed.observe(step, 3);
  EXPECT_GT(speed.seconds(), 2);
  for (std::uint64_t step = 211; step <= 230; ++step) speed.observe(step, 3);
  EXPECT_NEAR(speed.seconds(), 3, 0.15);
}

TEST(LeafSpeed, BeginsAnewAfterALongTimeWithoutLeaves) {
  LeafSpeed speed = steady(5, 30);
  speed.observe(500, 2);
  EXPECT_DOUBLE_EQ(speed.seconds(), 2);
  EXPECT_EQ(speed.num_observed(), 1u);
}

}  // namespace
}  // namespace motley
