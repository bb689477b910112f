// Products of CPUs with a transposed a: each work-item packs some panels of a for itself, so that
// they never get to memory. For what they need, see gemm_panels.h; a provider's struct that names a
// kernel, Turned, multiplies so where turned_tiles says so.
#pragma once

#include "kernels/gemm_blocks.h"
#include "kernels/launch.h"

namespace motley::op {

// Of work-items, so that the compute units end together; and of tiles of one, that read a panel of
// b one after the other.
inline constexpr std::size_t turned_items_per_unit = 4;
inline constexpr std::size_t least_turned_tiles = 3;

/// Of rows, for a work-item of Turned, or 0 where that is not for this problem: of what fits local
/// memory, and a block of rows, as many as leave enough work-items.
template <class Kernels>
std::size_t turned_tiles(const Device& device, const GemmProblem& p, const GemmPlan& plan,
                         std::size_t K) {
  if constexpr (requires { typename Kernels::Turned; }) {
    const std::size_t panel_bytes =
        std::max<std::size_t>(1, plan.tile_rows * K * Kernels::element_bytes);
    const std::size_t items = turned_items_per_unit * device.info().compute_units;
    const std::size_t tiles =
        std::min(plan.row_block_bytes / panel_bytes, ceil_div(p.M, plan.tile_rows) / items);
    const bool is_turned = p.transpose == Transpose::a && tiles >= least_turned_tiles &&
                           plan.row_block_bytes <= device.info().local_memory;
    return is_turned ? tiles : 0;
  } else {
    return 0;
  }
}

template <class Kernels>
void multiply_turned(Stream& s, const GemmProblem& p, const Tensor& packed_b, const Block& block,
                     std::size_t tiles, const GemmPlan& plan, Defines defines) {
  if constexpr (requires { typename Kernels::Turned; }) {
    defines.add("BLOCK_A",
                static_cast<std::int64_t>(plan.row_block_bytes / Kernels::element_bytes));
    const BlockSum sum = BlockSum::of(p, block);
    using Turned = typename Kernels::Turned;
    launch(s, {.groups = {ceil_div(ceil_div(p.M, plan.tile_rows), tiles), 1, 1}},
           Turned{.c = p.c,
                  .a = p.a,
                  .b = packed_b,
                  .bias = sum.bias,
                  .M = u32(p.M),
                  .N = u32(p.N),
                  .K = u32(block.K),
                  .columns = u32(block.columns),
                  .first_k = u32(block.first_k),
                  .first_column = u32(block.first_column),
                  .tiles = u32(tiles),
                  .accumulate = sum.accumulate},
           defines, sum.flops);
  }
}

}  // namespace motley::op
