// Products of CPUs over packed panels, whatever is in them: packs what is not read row by row, and
// multiplies tile by tile. A provider names its kernels in a struct:
//   Rows, Panels           products of a row-major and of a packed a
//   PackRows, PackColumns  pack b, transposed and not
//   PackTransposedRows     packs a transposed a
//   Turned                 if there is one, see gemm_turned.h
//   pack_a_k               of how many k a work-item of PackTransposedRows packs some panels
//   element_bytes          of a factor
//   packed(stream, width, K)  a tensor for panels of so many columns, or rows, and so long
#pragma once

#include "kernels/gemm_turned.h"
#include "kernels/generated.h"
#include "kernels/launch.h"

namespace motley::op {

/// Of `rows` rows, from `first_row` on.
template <class Kernels>
void pack_a(Stream& s, Tensor& packed, const GemmProblem& p, const Block& block,
            std::size_t first_row, std::size_t rows, const GemmPlan& plan, const Defines& defines) {
  const std::size_t panels = ceil_div(rows, plan.tile_rows);
  using Pack = typename Kernels::PackTransposedRows;
  launch(s, {.groups = {ceil_div(panels, pack_panels), ceil_div(block.K, Kernels::pack_a_k), 1}},
         Pack{.packed = packed,
              .x = p.a,
              .columns = u32(rows),
              .K = u32(block.K),
              .ldx = u32(p.M),
              .first_k = u32(block.first_k),
              .first_column = u32(first_row)},
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
  const BlockSum sum = BlockSum::of(p, block);
  if (p.transpose == Transpose::a) {
    using Panels = typename Kernels::Panels;
    launch(s, grid,
           Panels{.c = p.c,
                  .a = a,
                  .b = packed_b,
                  .bias = sum.bias,
                  .M = u32(p.M),
                  .N = u32(p.N),
                  .K = u32(block.K),
                  .first_column = u32(block.first_column),
                  .accumulate = sum.accumulate},
           defines, sum.flops);
    return;
  }
  using Rows = typename Kernels::Rows;
  launch(s, grid,
         Rows{.c = p.c,
              .a = a,
              .b = packed_b,
              .bias = sum.bias,
              .M = u32(p.M),
              .N = u32(p.N),
              .K = u32(block.K),
              .lda = u32(p.K),
              .first_k = u32(block.first_k),
              .first_column = u32(block.first_column),
              .accumulate = sum.accumulate},
         defines, sum.flops);
}

/// Packs a transposed a and multiplies it, some rows at a time.
template <class Kernels>
void multiply_packed_rows(Stream& s, const GemmProblem& p, Tensor& packed_a, const Tensor& packed_b,
                          const Block& block, std::size_t most_rows, const GemmPlan& plan,
                          const Defines& defines) {
  for (std::size_t first = 0; first < p.M; first += most_rows) {
    const std::size_t rows = std::min(p.M - first, most_rows);
    // All of a stays packed where there are several blocks of columns.
    if (block.first_column == 0) pack_a<Kernels>(s, packed_a, p, block, first, rows, plan, defines);
    Tensor c = p.c.slice(first, first + rows);
    const GemmProblem part{.c = c,
                           .a = p.a,
                           .b = p.b,
                           .bias = p.bias,
                           .M = rows,
                           .N = p.N,
                           .K = p.K,
                           .transpose = p.transpose,
                           .into = p.into};
    multiply_tiles<Kernels>(s, part, packed_a, packed_b, block, plan, defines);
  }
}

/// Runs the problem block by block. `a`: p.a, as the Rows kernel takes it; not looked at with
/// Transpose::a.
template <class Kernels>
void multiply_blocks(Stream& s, const GemmProblem& p, const Tensor& a, const GemmPlan& plan,
                     const Defines& defines) {
  const BlockSizes sizes = BlockSizes::of(p, plan, Kernels::element_bytes);
  const std::size_t turned = turned_tiles<Kernels>(s.device(), p, plan, sizes.K);
  const bool packs_a = p.transpose == Transpose::a && turned == 0;
  Tensor packed_b = Kernels::packed(s, sizes.columns, sizes.K);
  Tensor packed_a;
  if (packs_a) packed_a = Kernels::packed(s, sizes.rows, sizes.K);
  for_each_block(p, sizes, [&](const Block& block) {
    pack_b<Kernels>(s, packed_b, p, block, plan, defines);
    if (turned > 0) return multiply_turned<Kernels>(s, p, packed_b, block, turned, plan, defines);
    if (packs_a)
      return multiply_packed_rows<Kernels>(s, p, packed_a, packed_b, block, sizes.rows, plan,
                                           defines);
    multiply_tiles<Kernels>(s, p, a, packed_b, block, plan, defines);
  });
}

/// Calls `run` with the problem, or, where c has 16 bits and blocks of k would round it again and
/// again, with one whose sums are f32, and rounds these when all k are added.
template <class Run>
void round_once(Stream& s, const GemmProblem& p, const GemmPlan& plan, Run&& run) {
  if (p.c.dtype() == Dtype::f32 || p.K <= plan.k_block) return run(p);
  Tensor sums = s.tensor(p.c.shape());
  run(GemmProblem{.c = sums,
                  .a = p.a,
                  .b = p.b,
                  .bias = p.bias,
                  .M = p.M,
                  .N = p.N,
                  .K = p.K,
                  .transpose = p.transpose,
                  .into = Into::replace});
  launch(s, {.groups = {p.M, 1, 1}},
         k::round_rows_cpu{.c = p.c,
                           .sums = sums,
                           .N = u32(p.N),
                           .accumulate = p.into == Into::accumulate ? 1u : 0u});
}

}  // namespace motley::op
