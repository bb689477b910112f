// Products of CPUs whose a has few rows: each work-item packs its panel of b for itself, so that b
// is read from memory once and its panels never get there. For what they need, see gemm_panels.h;
// besides, a provider's struct names its kernel, Short.
#pragma once

#include "kernels/gemm_blocks.h"
#include "kernels/launch.h"

namespace motley::op {

// Of a block of a's rows, which are read again for each panel: what stays in the second cache or
// nearly so.
inline constexpr std::size_t short_a_bytes = std::size_t{1} << 20;
// Of panels, so that the compute units end together.
inline constexpr std::size_t short_panels_per_unit = 4;

/// Whether a problem is for multiply_short. The bits are those of multiply_blocks.
template <class Kernels>
bool is_short(const Device& device, const GemmProblem& p, const GemmPlan& plan) {
  const std::size_t K = std::min(p.K, plan.k_block);
  const std::size_t panel_bytes = plan.k_block * plan.tile_columns * Kernels::element_bytes;
  return p.transpose != Transpose::a && p.M * K * Kernels::element_bytes <= short_a_bytes &&
         ceil_div(p.N, plan.tile_columns) >= short_panels_per_unit * device.info().compute_units &&
         panel_bytes <= device.info().local_memory;
}

/// `a`: p.a, as the kernel takes it.
template <class Kernels>
void multiply_short(Stream& s, const GemmProblem& p, const Tensor& a, const GemmPlan& plan,
                    Defines defines) {
  defines.add("BLOCK_K", static_cast<std::int64_t>(plan.k_block));
  if (p.transpose == Transpose::b) defines.add("B_TRANSPOSED", 1);
  const auto run = [&](const Block& block) {
    const BlockSum sum = BlockSum::of(p, block);
    using Short = typename Kernels::Short;
    launch(s, {.groups = {ceil_div(p.N, plan.tile_columns), 1, 1}},
           Short{.c = p.c,
                 .a = a,
                 .b = p.b,
                 .bias = sum.bias,
                 .M = u32(p.M),
                 .N = u32(p.N),
                 .K = u32(block.K),
                 .lda = u32(p.K),
                 .ldb = u32(p.transpose == Transpose::b ? p.K : p.N),
                 .first_k = u32(block.first_k),
                 .accumulate = sum.accumulate},
           defines, sum.flops);
  };
  const BlockSizes all_columns{.rows = p.M, .columns = p.N, .K = plan.k_block};
  for_each_block(p, all_columns, run);
}

}  // namespace motley::op
