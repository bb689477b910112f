#include "kernels/gemm_tuner.h"

#include <gtest/gtest.h>

#include "tests/kernels/gemm_test.h"

namespace motley {
namespace {

constexpr GemmShape small{Dtype::f32, Transpose::b, 24, 32, 40};

TEST(GemmTuner, FindsAUsablePlanForEachShapeAndLeavesTheTableAlone) {
  Device device = open_poisoned(KernelFamily::cpu);
  GemmPlan own = op::default_plan(device, small);
  own.row_block_bytes = 4096;
  const GemmPlans before{{small, own}};
  device.set_gemm_plans(before);
  const std::vector<GemmShape> shapes{
      small, {Dtype::f32, Transpose::a, 24, 32, 40}, {Dtype::bf16, Transpose::none, 24, 32, 40}};
  const auto tuned = op::tune_products(device.stream(), shapes);
  ASSERT_EQ(tuned.size(), shapes.size());
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    EXPECT_EQ(tuned[i].shape, shapes[i]);
    EXPECT_TRUE(op::is_usable(device, tuned[i].found.plan));
    EXPECT_GT(tuned[i].found.seconds, 0);
  }
  EXPECT_EQ(device.gemm_plans(), before);
}

TEST(GemmTuner, FindsNothingWithoutTime) {
  Device device = open_poisoned(KernelFamily::cpu);
  EXPECT_TRUE(op::tune_products(device.stream(), std::vector{small}, {.budget_s = 0}).empty());
}

TEST(GemmTuner, FindsPlansOfTheGpuFamily) {
  Device device = open_poisoned(KernelFamily::gpu);
  const auto tuned = op::tune_products(device.stream(), std::vector{small});
  ASSERT_EQ(tuned.size(), 1u);
  EXPECT_TRUE(op::is_usable(device, tuned[0].found.plan));
}

TEST(GemmTuner, FindsPlansRightThatMultiplyRightly) {
  Device device = open_poisoned(KernelFamily::cpu);
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    for (const Transpose transpose : {Transpose::none, Transpose::a, Transpose::b}) {
      const GemmShape shape{dtype, transpose, 100, 100, 2500};
      const GemmPlan plan = op::default_plan(device, shape);
      EXPECT_TRUE(op::is_right(device.stream(), shape, plan));
      for (const GemmPlan& other : op::alternatives(device, shape, plan, op::PlanChange::tile))
        EXPECT_TRUE(op::is_right(device.stream(), shape, other)) << other.tile_rows;
    }
  }
}

}  // namespace
}  // namespace motley
