#include "kernels/gemm_plan.h"

#include <gtest/gtest.h>

#include "kernels/gemm_tiled.h"
#include "tests/kernels/gemm_test.h"

namespace motley {
namespace {

using op::Into;
using op::Transpose;

constexpr GemmPlan some_plan{
    .tile_rows = 6, .tile_columns = 16, .k_block = 512, .row_block_bytes = 65536};

/// A product of numbers whose sums are rounded, so that another order shows.
class RoundedProduct {
 public:
  RoundedProduct(Device& device, const GemmShape& shape) : device_(device), shape_(shape) {
    const bool of_a = shape.transpose == Transpose::a;
    const bool of_b = shape.transpose == Transpose::b;
    a_ = numbers(of_a ? Shape{shape.K, shape.M} : Shape{shape.M, shape.K}, 1);
    b_ = numbers(of_b ? Shape{shape.N, shape.K} : Shape{shape.K, shape.N}, 2);
    c_ = device.tensor({shape.M, shape.N}, shape.dtype);
  }

  /// With no plan, by the default.
  std::vector<float> result(const std::optional<GemmPlan>& plan) {
    device_.set_gemm_plans(plan ? GemmPlans{{shape_, *plan}} : GemmPlans{});
    Stream& s = device_.stream();
    op::matmul(s, c_, a_, b_, shape_.transpose, Into::replace);
    Tensor wide = device_.tensor(c_.shape());
    op::cast(s, wide, c_);
    std::vector<float> values(wide.size());
    s.read<float>(values, wide);
    return values;
  }

 private:
  Tensor numbers(const Shape& shape, std::uint64_t salt) {
    Tensor values = device_.tensor(shape);
    op::random_uniform(device_.stream(), values, Random(1, Purpose::test, salt));
    Tensor rounded = device_.tensor(shape, shape_.dtype);
    op::cast(device_.stream(), rounded, values);
    return rounded;
  }

  Device& device_;
  GemmShape shape_;
  Tensor a_;
  Tensor b_;
  Tensor c_;
};

std::vector<GemmShape> shapes_of(Dtype dtype) {
  // Beside the edges of tiles and with more k than any block that is tried.
  return {{dtype, Transpose::none, 61, 131, 2100},
          {dtype, Transpose::a, 61, 131, 2100},
          {dtype, Transpose::b, 61, 131, 2100}};
}

TEST(GemmPlan, IsOfItsShapeAlone) {
  Device device = open_poisoned(KernelFamily::cpu);
  const GemmShape shape{Dtype::f32, Transpose::b, 30, 40, 50};
  device.set_gemm_plans({{shape, some_plan}});
  EXPECT_EQ(op::plan_of(device, shape), some_plan);
  for (const GemmShape& other : {GemmShape{Dtype::bf16, Transpose::b, 30, 40, 50},
                                 GemmShape{Dtype::f32, Transpose::none, 30, 40, 50},
                                 GemmShape{Dtype::f32, Transpose::b, 31, 40, 50},
                                 GemmShape{Dtype::f32, Transpose::b, 30, 41, 50},
                                 GemmShape{Dtype::f32, Transpose::b, 30, 40, 51}}) {
    EXPECT_EQ(op::plan_of(device, other), op::default_plan(device, other));
  }
}

TEST(GemmPlan, HasNoMoreRowsThanACacheKeepsOfThoseAtItsSetsDistance) {
  Device device = open_poisoned(KernelFamily::cpu);
  const auto rows = [&](Dtype dtype, Transpose transpose, std::size_t K) {
    return op::default_plan(device, {dtype, transpose, 64, 64, K}).tile_rows;
  };
  for (const Transpose transpose : {Transpose::none, Transpose::b}) {
    EXPECT_LE(rows(Dtype::f32, transpose, 1024), 8u);
    EXPECT_LE(rows(Dtype::f16, transpose, 3072), 8u) << "widened to f32";
    EXPECT_LE(rows(Dtype::bf16, transpose, 2048), 8u);
    EXPECT_EQ(rows(Dtype::f32, transpose, 1040), rows(Dtype::f32, transpose, 8));
    EXPECT_EQ(rows(Dtype::bf16, transpose, 1024), rows(Dtype::f32, transpose, 8));
  }
  EXPECT_EQ(rows(Dtype::f32, Transpose::a, 1024), rows(Dtype::f32, Transpose::a, 8))
      << "its rows are packed";
}

TEST(GemmPlan, OfAProductIsFoundByItsShape) {
  Device device = open_poisoned(KernelFamily::cpu);
  Tensor a = device.tensor({5, 7}, Dtype::bf16);
  Tensor b = device.tensor({3, 7});
  Tensor c = device.tensor({5, 3});
  const GemmShape shape = op::shape_of({.c = c,
                                        .a = a,
                                        .b = b,
                                        .bias = nullptr,
                                        .M = 5,
                                        .N = 3,
                                        .K = 7,
                                        .transpose = Transpose::b,
                                        .into = Into::replace});
  EXPECT_EQ(shape, (GemmShape{Dtype::bf16, Transpose::b, 5, 3, 7}));
}

TEST(GemmPlan, TilesAndBlocksOfRowsChangeNoBit) {
  Device device = open_poisoned(KernelFamily::cpu);
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    for (const GemmShape& shape : shapes_of(dtype)) {
      RoundedProduct product(device, shape);
      const std::vector<float> expected = product.result(std::nullopt);
      const GemmPlan plan = op::default_plan(device, shape);
      std::vector<GemmPlan> plans = op::alternatives(device, shape, plan, op::PlanChange::tile);
      for (const GemmPlan& other : op::alternatives(device, shape, plan, op::PlanChange::row_block))
        plans.push_back(other);
      // What CPUs with other vectors have.
      const std::vector<std::pair<std::size_t, std::size_t>> tiles{
          {6, 16}, {4, 16}, {2, 32}, {12, 32}, {8, 48}};
      for (const auto& [rows, columns] : tiles) {
        plans.push_back(plan);
        plans.back().tile_rows = rows;
        plans.back().tile_columns = columns;
      }
      for (const GemmPlan& other : plans)
        EXPECT_EQ(product.result(other), expected)
            << other.tile_rows << " x " << other.tile_columns << ", rows of "
            << other.row_block_bytes << " bytes, transposed " << static_cast<int>(shape.transpose);
    }
  }
}

TEST(GemmPlan, BlocksOfKChangeRoundingsOfLongerSums) {
  Device device = open_poisoned(KernelFamily::cpu);
  const GemmShape shape{Dtype::f32, Transpose::b, 61, 131, 513};
  GemmPlan whole = op::default_plan(device, shape);
  whole.k_block = 2048;
  GemmPlan cut = whole;
  cut.k_block = 512;
  RoundedProduct longer(device, shape);
  EXPECT_NE(longer.result(whole), longer.result(cut)) << "such a plan must be kept with a run";
  RoundedProduct shorter(device, {Dtype::f32, Transpose::b, 61, 131, 512});
  EXPECT_EQ(shorter.result(whole), shorter.result(cut));
}

TEST(GemmPlan, AlternativesDifferInWhatIsAskedFor) {
  Device device = open_poisoned(KernelFamily::cpu);
  const GemmShape shape{Dtype::f32, Transpose::b, 64, 64, 4096};
  const GemmPlan plan = op::default_plan(device, shape);
  for (const op::PlanChange change :
       {op::PlanChange::tile, op::PlanChange::row_block, op::PlanChange::k_block}) {
    const std::vector<GemmPlan> others = op::alternatives(device, shape, plan, change);
    EXPECT_FALSE(others.empty());
    for (GemmPlan other : others) {
      EXPECT_TRUE(op::is_usable(device, other));
      EXPECT_FALSE(other == plan);
      if (change == op::PlanChange::tile) {
        other.tile_rows = plan.tile_rows;
        other.tile_columns = plan.tile_columns;
      }
      if (change == op::PlanChange::row_block) other.row_block_bytes = plan.row_block_bytes;
      if (change == op::PlanChange::k_block) other.k_block = plan.k_block;
      EXPECT_EQ(other, plan);
    }
  }
  EXPECT_TRUE(op::alternatives(device, {Dtype::f32, Transpose::b, 64, 64, 128}, plan,
                               op::PlanChange::k_block)
                  .empty())
      << "all blocks hold all of its k";
}

TEST(GemmPlan, OfTheGpuFamilyAreItsTiles) {
  Device device = open_poisoned(KernelFamily::gpu);
  const GemmShape shape{Dtype::f32, Transpose::b, 61, 131, 70};
  const GemmPlan plan = op::default_plan(device, shape);
  EXPECT_EQ(plan, GemmPlan{});
  EXPECT_TRUE(op::is_usable(device, plan));
  EXPECT_FALSE(op::is_usable(device, some_plan));
  RoundedProduct product(device, shape);
  const std::vector<float> expected = product.result(std::nullopt);
  const auto others = op::alternatives(device, shape, plan, op::PlanChange::tile);
  EXPECT_FALSE(others.empty());
  for (const GemmPlan& other : others) {
    EXPECT_TRUE(op::is_usable(device, other));
    EXPECT_EQ(op::plan_from(op::tiled_from(other)), other);
    EXPECT_EQ(product.result(other), expected);
  }
  GemmPlan unknown = others.front();
  unknown.tile_rows *= 2;
  EXPECT_FALSE(op::is_usable(device, unknown));
  EXPECT_TRUE(op::alternatives(device, shape, plan, op::PlanChange::k_block).empty());
}

TEST(GemmPlan, IsUsableWithinTheKernelsLimits) {
  Device device = open_poisoned(KernelFamily::cpu);
  EXPECT_TRUE(op::is_usable(device, some_plan));
  const auto with = [&](auto&& edit) {
    GemmPlan plan = some_plan;
    edit(plan);
    return op::is_usable(device, plan);
  };
  EXPECT_FALSE(op::is_usable(device, {}));
  EXPECT_FALSE(with([](GemmPlan& p) { p.tile_rows = 7; }));
  EXPECT_FALSE(with([](GemmPlan& p) { p.tile_rows = 1000; }));
  EXPECT_FALSE(with([](GemmPlan& p) { p.tile_columns = 24; }));
  EXPECT_FALSE(with([](GemmPlan& p) { p.tile_columns = 1 << 20; }));
  EXPECT_FALSE(with([](GemmPlan& p) { p.k_block = 511; })) << "pairs of bf16 would be torn";
  EXPECT_FALSE(with([](GemmPlan& p) { p.k_block = 1 << 20; }));
  EXPECT_FALSE(with([](GemmPlan& p) { p.row_block_bytes = 0; }));
}

}  // namespace
}  // namespace motley
