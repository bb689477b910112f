// The GPU provider of our own for any device: one launch of gemm_gpu.cl.
#include "kernels/gemm_tiled.h"

#include <array>

#include "kernels/gemm_gpu.h"
#include "kernels/gemm_plan.h"
#include "kernels/generated.h"

namespace motley::op {
namespace {

// A device with less local memory or smaller work-groups than any real GPU still runs the last.
constexpr std::array<TiledPlan, 5> plans{{
    {.tile_m = 128, .tile_n = 128, .tile_k = 16, .item_m = 8, .item_n = 8},
    {.tile_m = 128, .tile_n = 128, .tile_k = 8, .item_m = 8, .item_n = 8},
    {.tile_m = 128, .tile_n = 64, .tile_k = 16, .item_m = 8, .item_n = 4},
    {.tile_m = 64, .tile_n = 64, .tile_k = 16, .item_m = 4, .item_n = 4},
    {.tile_m = 32, .tile_n = 32, .tile_k = 16, .item_m = 4, .item_n = 4},
}};

// As in gemm_gpu.cl: two blocks of each factor, four floats of padding a row.
constexpr std::size_t blocks = 2;
constexpr std::size_t padding = 4;
// What kernels move at once.
constexpr std::size_t vector = 4;

class TiledGemm : public GemmProvider {
 public:
  std::string_view name() const override { return "tiled"; }
  bool can_run(const GemmProblem&) const override { return true; }
  void run(Stream& s, const GemmProblem& p) const override {
    const GemmPlan plan = plan_of(s.device(), shape_of(p));
    run_tiled(
        s, p,
        plan == GemmPlan{} ? default_tiled_plan(s.device().info(), p.M, p.N) : tiled_from(plan));
  }
};

}  // namespace

std::size_t TiledPlan::local_bytes() const {
  return blocks * tile_k * (tile_m + tile_n + 2 * padding) * sizeof(float);
}

Defines TiledPlan::defines() const {
  return {{"TILE_M", i64(tile_m)},
          {"TILE_N", i64(tile_n)},
          {"TILE_K", i64(tile_k)},
          {"ITEM_M", i64(item_m)},
          {"ITEM_N", i64(item_n)}};
}

std::string to_string(const TiledPlan& plan) {
  return fmt::format("tiles of {} x {}, {} of k, {} x {} an item", plan.tile_m, plan.tile_n,
                     plan.tile_k, plan.item_m, plan.item_n);
}

GemmPlan plan_from(const TiledPlan& plan) {
  return {.tile_rows = plan.tile_m,
          .tile_columns = plan.tile_n,
          .k_block = plan.tile_k,
          .row_block_bytes = 0,
          .item_rows = plan.item_m,
          .item_columns = plan.item_n};
}

TiledPlan tiled_from(const GemmPlan& plan) {
  return {.tile_m = plan.tile_rows,
          .tile_n = plan.tile_columns,
          .tile_k = plan.k_block,
          .item_m = plan.item_rows,
          .item_n = plan.item_columns};
}

std::span<const TiledPlan> tiled_plans() {
  return plans;
}

bool fits(const TiledPlan& plan, const DeviceInfo& info) {
  return plan.local_bytes() <= info.local_memory && plan.items() <= info.max_work_group;
}

TiledPlan default_tiled_plan(const DeviceInfo& info, std::size_t M, std::size_t N) {
  for (const TiledPlan& plan : plans) {
    const std::size_t tiles = checked_mul(ceil_div(M, plan.tile_m), ceil_div(N, plan.tile_n));
    const bool is_filled = plan.tile_m < 2 * M && plan.tile_n < 2 * N;
    if (fits(plan, info) && is_filled && tiles >= info.compute_units) return plan;
  }
  return plans.back();
}

void run_tiled(Stream& s, const GemmProblem& p, const TiledPlan& plan) {
  check_sizes(p);
  Defines defines = plan.defines();
  const bool of_a = p.transpose == Transpose::a;
  const bool of_b = p.transpose == Transpose::b;
  if (of_a) defines.add("A_TRANSPOSED", 1);
  if (of_b) defines.add("B_TRANSPOSED", 1);
  launch(s,
         {.groups = {checked_mul(ceil_div(p.N, plan.tile_n), ceil_div(p.M, plan.tile_m)), 1, 1},
          .local = {plan.tile_n / plan.item_n, plan.tile_m / plan.item_m, 1}},
         k::gemm_gpu{.c = p.c,
                     .a = p.a,
                     .b = p.b,
                     .bias = p.bias,
                     .M = narrow<std::uint32_t>(p.M),
                     .N = narrow<std::uint32_t>(p.N),
                     .K = narrow<std::uint32_t>(p.K),
                     .wide_a = rows_start_at(p.a, of_a ? p.M : p.K, vector),
                     .wide_b = rows_start_at(p.b, of_b ? p.K : p.N, vector),
                     .wide_c = rows_start_at(p.c, p.N, vector),
                     .accumulate = std::uint32_t{p.into == Into::accumulate ? 1u : 0u}},
         defines, p.flops());
}

const GemmProvider& tiled_gemm() {
  static const TiledGemm provider;
  return provider;
}

}  // namespace motley::op
