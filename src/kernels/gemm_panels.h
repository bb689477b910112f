// Products of CPUs over packed panels, whatever is in them: packs what is not read row by row, and
// multiplies tile by tile. A provider names its kernels in a struct:
//   Rows, Panels           products of a row-major and of a packed a
//   PackRows, PackColumns  pack b, transposed and not
//   PackTransposedRows     packs a transposed a
//   element_bytes          of a factor
//   packed(stream, width, K)  a tensor for panels of so many columns, or rows, and so long
#pragma once

#include "kernels/gemm_blocks.h"
#include "kernels/launch.h"

namespace motley::op {

template <class Kernels>
void pack_a(Stream& s, Tensor& packed, const GemmProblem& p, std::size_t first_k, std::size_t K,
            const GemmPlan& plan, const Defines& defines) {
  const std::size_t panels = ceil_div(p.M, plan.tile_rows);
  using Pack = typename Kernels::PackTransposedRows;
  launch(
      s, {.groups = {ceil_div(panels, pack_panels), ceil_div(K, pack_k), 1}},
      Pack{.packed = packed, .x = p.a, .columns = u32(p.M), .K = u32(K), .first_k = u32(first_k)},
      defines);
}

template <class Kernels>
void pack_b(Stream& s, Tensor& packed, const GemmProblem& p, const Block& block,
            const GemmPlan& plan, const Defines& defines) {
  const std::size_t panels = ceil_div(block.columns, plan.tile_columns);
  if (p.transpose == Transpose::b) {
    using Pack = typename Kernels::PackRows;
    launch(s, {.groups = {panels * plan.tile_columns / 16, ceil_div(block.K, pack_columns), 1}},
           Pack{.packed = packed,
                .x = p.b,
                .rows = u32(block.columns),
                .K = u32(block.K),
                .ldx = u32(p.K),
                .first_k = u32(block.first_k),
                .first_row = u32(block.first_column)},
           defines);
    return;
  }
  using Pack = typename Kernels::PackColumns;
  launch(s, {.groups = {ceil_div(panels, pack_panels), ceil_div(block.K, pack_k), 1}},
         Pack{.packed = packed,
              .x = p.b,
              .columns = u32(block.columns),
              .K = u32(block.K),
              .ldx = u32(p.N),
              .first_k = u32(block.first_k),
              .first_column = u32(block.first_column)},
         defines);
}

/// `a` has the rows of p.a, or its packed panels with Transpose::a.
template <class Kernels>
void multiply_tiles(Stream& s, const GemmProblem& p, const Tensor& a, const Tensor& packed_b,
                    const Block& block, const GemmPlan& plan, const Defines& defines) {
  const Grid grid = tiles_of(p.M, block, plan, Kernels::element_bytes);
  const bool first = block.first_k == 0;
  const std::uint32_t accumulate = p.into == Into::accumulate || !first ? 1 : 0;
  const Tensor* bias = first ? p.bias : nullptr;
  const double flops = 2.0 * static_cast<double>(p.M) * static_cast<double>(block.columns) *
                       static_cast<double>(block.K);
  if (p.transpose == Transpose::a) {
    using Panels = typename Kernels::Panels;
    launch(s, grid,
           Panels{.c = p.c,
                  .a = a,
                  .b = packed_b,
                  .bias = bias,
                  .M = u32(p.M),
                  .N = u32(p.N),
                  .K = u32(block.K),
                  .first_column = u32(block.first_column),
                  .accumulate = accumulate},
           defines, flops);
    return;
  }
  using Rows = typename Kernels::Rows;
  launch(s, grid,
         Rows{.c = p.c,
              .a = a,
              .b = packed_b,
              .bias = bias,
              .M = u32(p.M),
              .N = u32(p.N),
              .K = u32(block.K),
              .lda = u32(p.K),
              .first_k = u32(block.first_k),
              .first_column = u32(block.first_column),
              .accumulate = accumulate},
         defines, flops);
}

/// Runs the problem block by block. `a`: p.a, as the Rows kernel takes it; not looked at with
/// Transpose::a.
template <class Kernels>
void multiply_blocks(Stream& s, const GemmProblem& p, const Tensor& a, const GemmPlan& plan,
                     const Defines& defines) {
  const BlockSizes sizes = BlockSizes::of(p, plan, Kernels::element_bytes);
  const bool packs_a = p.transpose == Transpose::a;
  Tensor packed_b = Kernels::packed(s, sizes.columns, sizes.K);
  Tensor packed_a;
  if (packs_a) packed_a = Kernels::packed(s, round_up(p.M, plan.tile_rows), sizes.K);
  for_each_block(
      p, sizes,
      [&](std::size_t first_k, std::size_t K) {
        if (packs_a) pack_a<Kernels>(s, packed_a, p, first_k, K, plan, defines);
      },
      [&](const Block& block) {
        pack_b<Kernels>(s, packed_b, p, block, plan, defines);
        multiply_tiles<Kernels>(s, p, packs_a ? packed_a : a, packed_b, block, plan, defines);
      });
}

}  // namespace motley::op
