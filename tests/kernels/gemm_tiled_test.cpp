// Products in tiles, by every plan there is.
#include "kernels/gemm_tiled.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/kernels/gemm_test.h"

namespace motley {
namespace {

using op::Into;
using op::Transpose;

/// Rows that start at whole vectors, and rows that do not; less than a tile, and some tiles and a
/// bit.
const std::vector<ExactProduct> products{
    {4, 8, 4, Transpose::none, Into::replace, false},
    {1, 3, 5, Transpose::none, Into::replace, true},
    {140, 132, 36, Transpose::none, Into::replace, true},
    {131, 67, 21, Transpose::none, Into::accumulate, false},
    {68, 136, 52, Transpose::a, Into::accumulate, false},
    {133, 65, 33, Transpose::a, Into::replace, true},
    {260, 40, 20, Transpose::b, Into::accumulate, true},
    {35, 129, 39, Transpose::b, Into::replace, true},
    {7, 5, 0, Transpose::b, Into::replace, true},
};

TEST(GemmTiled, EveryPlanIsRight) {
  Device device = open_poisoned(KernelFamily::gpu);
  for (const op::TiledPlan& plan : op::tiled_plans()) {
    if (!op::fits(plan, device.info())) continue;
    const auto run = [&](Stream& s, const op::GemmProblem& problem) {
      op::run_tiled(s, problem, plan);
    };
    for (const ExactProduct& p : products) {
      for (const ProductDtypes& dtypes :
           {ProductDtypes{}, {Dtype::bf16, Dtype::bf16, Dtype::bf16}}) {
        EXPECT_EQ(multiply_by(device, run, p, dtypes), expected_product(p, dtypes.c))
            << to_string(plan) << ", " << to_string(p) << ", " << name_of(dtypes.c);
      }
    }
  }
}

TEST(GemmTiled, EveryPlanAddsInTheOrderOfK) {
  constexpr std::size_t M = 9;
  constexpr std::size_t N = 12;
  constexpr std::size_t K = 301;
  Device device = open_poisoned(KernelFamily::gpu);
  Stream& s = device.stream();
  Tensor a = device.tensor({M, K});
  Tensor b = device.tensor({K, N});
  op::random_uniform(s, a, Random(1, Purpose::test, 1));
  op::random_uniform(s, b, Random(1, Purpose::test, 2));
  std::vector<float> host_a(a.size());
  std::vector<float> host_b(b.size());
  s.read<float>(host_a, a);
  s.read<float>(host_b, b);
  std::vector<float> expected(M * N);
  for (std::size_t m = 0; m < M; ++m) {
    for (std::size_t n = 0; n < N; ++n) {
      for (std::size_t k = 0; k < K; ++k)
        expected[m * N + n] = std::fma(host_a[m * K + k], host_b[k * N + n], expected[m * N + n]);
    }
  }
  for (const op::TiledPlan& plan : op::tiled_plans()) {
    if (!op::fits(plan, device.info())) continue;
    Tensor c = device.tensor({M, N});
    op::run_tiled(s,
                  {.c = c,
                   .a = a,
                   .b = b,
                   .bias = nullptr,
                   .M = M,
                   .N = N,
                   .K = K,
                   .transpose = Transpose::none,
                   .into = Into::replace},
                  plan);
    std::vector<float> values(c.size());
    s.read<float>(values, c);
    EXPECT_EQ(values, expected) << to_string(plan);
  }
}

TEST(GemmTiled, PlansShareTheirWorkEvenly) {
  for (const op::TiledPlan& plan : op::tiled_plans()) {
    const std::string text = to_string(plan);
    EXPECT_EQ(plan.item_m % 4 + plan.item_n % 4 + plan.tile_k % 4, 0u) << text;
    EXPECT_EQ(plan.tile_m % plan.item_m + plan.tile_n % plan.item_n, 0u) << text;
    EXPECT_EQ(plan.tile_m * plan.tile_k % (4 * plan.items()), 0u) << text;
    EXPECT_EQ(plan.tile_n * plan.tile_k % (4 * plan.items()), 0u) << text;
  }
}

TEST(GemmTiled, TheDefaultPlanFitsDeviceAndProduct) {
  DeviceInfo info;
  info.local_memory = std::size_t{48} << 10;
  info.max_work_group = 1024;
  info.compute_units = 100;
  EXPECT_EQ(op::default_tiled_plan(info, 4096, 4096).tile_m, 128u);
  EXPECT_EQ(op::default_tiled_plan(info, 4096, 4096).tile_k, 16u);
  EXPECT_EQ(op::default_tiled_plan(info, 768, 768).tile_m, 64u) << "36 tiles of 128";
  EXPECT_EQ(op::default_tiled_plan(info, 8192, 32).tile_n, 32u)
      << "most of a wider tile is outside";
  EXPECT_EQ(op::default_tiled_plan(info, 64, 64).tile_m, 32u) << "no tile keeps the device busy";
  info.local_memory = std::size_t{32} << 10;
  EXPECT_EQ(op::default_tiled_plan(info, 4096, 4096).tile_k, 8u);
  info.max_work_group = 64;
  EXPECT_EQ(op::default_tiled_plan(info, 4096, 4096).tile_m, 32u);
}

}  // namespace
}  // namespace motley
