// How the products of CPUs cut a problem: tiles of sums, and blocks of columns and of k whose
// packed panels stay in the caches (Goto and van de Geijn, "Anatomy of High-Performance Matrix
// Multiplication", 2008). For gemm_panels.h.
#pragma once

#include <algorithm>

#include "kernels/gemm.h"
#include "tensor/checked.h"
#include "tensor/program.h"

namespace motley::op {

// As in gemm_tile_cpu.clh, gemm_cpu.cl and gemm_bf16_cpu.cl.
inline constexpr std::size_t pack_panels = 8;
inline constexpr std::size_t pack_k = 16;
inline constexpr std::size_t pack_columns = 64;
// Packed blocks of b are at most this large, however wide the matrix is.
inline constexpr std::size_t max_packed_b_bytes = std::size_t{16} << 20;
// And of a, where it is packed, at about this: nothing is gained by more, and the gradient of a
// language-model head would have the logits in memory twice.
inline constexpr std::size_t max_packed_a_bytes = std::size_t{8} << 20;

/// What the kernels of a plan are built with.
inline Defines defines_of(const GemmPlan& plan) {
  return {{"MR", static_cast<std::int64_t>(plan.tile_rows)},
          {"NR", static_cast<std::int64_t>(plan.tile_columns)}};
}

inline std::uint32_t u32(std::size_t value) {
  return narrow<std::uint32_t>(value);
}

/// Columns [first_column, first_column + columns) of the product and k in [first_k, first_k + K).
struct Block {
  std::size_t first_column;
  std::size_t columns;
  std::size_t first_k;
  std::size_t K;
};

/// What the products of a block are added to: the first block of k replaces and has the bias, the
/// others add.
struct BlockSum {
  const Tensor* bias;
  std::uint32_t accumulate;
  double flops;

  static BlockSum of(const GemmProblem& p, const Block& block) {
    const bool first = block.first_k == 0;
    return {.bias = first ? p.bias : nullptr,
            .accumulate = p.into == Into::accumulate || !first ? 1u : 0u,
            .flops = 2.0 * static_cast<double>(p.M) * static_cast<double>(block.columns) *
                     static_cast<double>(block.K)};
  }
};

/// The lengths of a problem's blocks.
struct BlockSizes {
  /// Of a packed a. Where there are several blocks of columns these are all rows, so that neither a
  /// nor b is packed more than once.
  std::size_t rows;
  std::size_t columns;
  std::size_t K;

  /// For packed elements of `element_bytes`.
  static BlockSizes of(const GemmProblem& p, const GemmPlan& plan, std::size_t element_bytes) {
    const std::size_t all_rows = round_up(p.M, plan.tile_rows);
    const std::size_t all_columns = round_up(p.N, plan.tile_columns);
    const std::size_t most_columns =
        max_packed_b_bytes / element_bytes / plan.k_block / plan.tile_columns * plan.tile_columns;
    const std::size_t K = std::min(p.K, plan.k_block);
    const std::size_t row_bytes = std::max<std::size_t>(1, element_bytes * K);
    const std::size_t most_rows = max_packed_a_bytes / row_bytes / plan.tile_rows * plan.tile_rows;
    const bool in_parts = all_columns <= most_columns;
    return {.rows = in_parts ? std::min(all_rows, std::max(most_rows, plan.tile_rows)) : all_rows,
            .columns = std::min(all_columns, most_columns),
            .K = K};
  }
};

/// The tiles of a block of columns, in the order of gemm_tile_cpu.clh.
inline Grid tiles_of(std::size_t M, const Block& block, const GemmPlan& plan,
                     std::size_t element_bytes) {
  const std::size_t panels = ceil_div(M, plan.tile_rows);
  const std::size_t panel_bytes =
      std::max<std::size_t>(1, plan.tile_rows * block.K * element_bytes);
  const std::size_t most = std::max<std::size_t>(1, plan.row_block_bytes / panel_bytes);
  const std::size_t blocks = std::max<std::size_t>(1, ceil_div(panels, most));
  return {.groups = {ceil_div(panels, blocks), ceil_div(block.columns, plan.tile_columns), blocks}};
}

/// Calls `run(Block)` for each block of k in ascending order and in it for each block of columns.
/// An empty sum is one block without any k: its result is still written.
template <class Run>
void for_each_block(const GemmProblem& p, const BlockSizes& sizes, Run&& run) {
  std::size_t first_k = 0;
  do {
    const std::size_t K = std::min(p.K - first_k, sizes.K);
    for (std::size_t first = 0; first < p.N; first += sizes.columns)
      run(Block{first, std::min(p.N - first, sizes.columns), first_k, K});
    first_k += K;
  } while (first_k < p.K);
}

}  // namespace motley::op
