// Matrix multiplication of bf16 for CPUs, with sums in float: as gemm_cpu.cl, but two neighbouring k make a
// pair, which lies in one 32-bit word, the lower k in the lower half. gemm_packed_bf16.cpp launches these.
// lint: -DMR=12 -DNR=32
// lint: -DMR=6 -DNR=16
#define PANEL global
#include "gemm_tile_cpu.clh"
#include "gemm_panel_bf16_cpu.clh"

// One tile of c = a b for a row-major a: the rows from tile_row() on and the columns of panel group_id(1).
// c: [M, N], written at columns first_column on; a: [M, lda], read at columns first_k to first_k + K - 1;
// b: [panels, ceil(K / 2), NR] pairs, the panels from first_column on; bias: [N]. The last pair of an odd K
// has a zero in b and in a. Rows past the last repeat it: nobody reads their sums.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void gemm_rows_bf16_cpu(global stored_c* restrict c, global const bf16* restrict a,
                               global const uint* restrict b, OPTIONAL global const float* restrict bias,
                               uint M, uint N, uint K, uint lda, uint first_k, uint first_column,
                               uint accumulate) {
  const size_t row = tile_row();
  if (row >= M) return;
  const size_t column = first_column + get_group_id(1) * (size_t)NR;
  const uint rows = (uint)min((size_t)MR, M - row);
  const uint columns = (uint)min((size_t)NR, N - column);
  float16 sums[MR][VECTORS];
  clear_tile(sums);
  expect_tile(c + row * N + column, N, rows);
  multiply_rows(sums, a + row * lda + first_k, lda, rows, b + get_group_id(1) * (size_t)((K + 1) / 2) * NR, K);
  store_tile(c + row * N + column, N, sums, rows, columns, bias ? bias + column : bias, accumulate);
}

// The same for a packed a: [panels, ceil(K / 2), MR] pairs, the last panel padded with zeros.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void gemm_panels_bf16_cpu(global stored_c* restrict c, global const uint* restrict a,
                                 global const uint* restrict b, OPTIONAL global const float* restrict bias,
                                 uint M, uint N, uint K, uint first_column, uint accumulate) {
  const size_t row = tile_row();
  if (row >= M) return;
  const size_t column = first_column + get_group_id(1) * (size_t)NR;
  const uint rows = (uint)min((size_t)MR, M - row);
  const uint columns = (uint)min((size_t)NR, N - column);
  float16 sums[MR][VECTORS];
  clear_tile(sums);
  expect_tile(c + row * N + column, N, rows);
  const uint num_pairs = (K + 1) / 2;
  global const uint* panel_a = a + row * num_pairs;
  global const uint* panel_b = b + get_group_id(1) * (size_t)num_pairs * NR;
#pragma nounroll
  for (uint k = 0; k < num_pairs; ++k) {
    uint pairs[MR];
#pragma unroll
    for (uint i = 0; i < MR; ++i) pairs[i] = panel_a[i];
    add_tile(sums, pairs, panel_b);
    panel_a += MR;
    panel_b += NR;
  }
  store_tile(c + row * N + column, N, sums, rows, columns, bias ? bias + column : bias, accumulate);
}

// --- packing -----------------------------------------------------------------------------------------

// packed[p][k / 2][j] = the pair x[first_k + k][first_column + p * width + j], x[first_k + k + 1][the same],
// zero past the last column and past the last k; x: [*, ldx]. K is even but in the last block of all.
INLINE void pack_panels(global uint* packed, global const stored* x, uint columns, uint K, uint ldx, uint first_k,
                        uint first_column, uint width) {
  const uint panels = (columns + width - 1) / width;
  const uint first_panel = (uint)get_group_id(0) * PACK_PANELS;
  const uint k = (uint)get_group_id(1) * PACK_K;
  for (uint p = first_panel; p < min(panels, first_panel + PACK_PANELS); ++p) {
    pack_columns(packed + ((size_t)p * ((K + 1) / 2) + k / 2) * width,
                 x + (size_t)(first_k + k) * ldx + first_column + p * width, ldx, min(K - k, (uint)PACK_K),
                 min(width, columns - p * width), width);
  }
}

__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void pack_columns_bf16_cpu(global uint* restrict packed, global const stored* restrict x,
                                  uint columns, uint K, uint ldx, uint first_k, uint first_column) {
  pack_panels(packed, x, columns, K, ldx, first_k, first_column, NR);
}

__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void pack_transposed_rows_bf16_cpu(global uint* restrict packed, global const stored* restrict x,
                                          uint columns, uint K, uint ldx, uint first_k,
                                          uint first_column) {
  pack_panels(packed, x, columns, K, ldx, first_k, first_column, MR);
}

// packed[p][k / 2][j] = the pair x[first_row + p * NR + j][first_k + k], [the same][first_k + k + 1], zero
// past the last row and the last k; x: [*, ldx]. One work-item has sixteen columns of a panel and
// PACK_COLUMNS of k.
#define PACK_COLUMNS 64
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void pack_rows_bf16_cpu(global uint* restrict packed, global const stored* restrict x, uint rows,
                               uint K, uint ldx, uint first_k, uint first_row) {
  const uint slab = (uint)get_group_id(0);
  const uint row = slab * 16;
  const uint used = row < rows ? min(16u, rows - row) : 0;
  const uint k = (uint)get_group_id(1) * PACK_COLUMNS;
  global uint* panel = packed + (size_t)(slab / VECTORS) * ((K + 1) / 2) * NR + (slab % VECTORS) * 16;
  pack_rows(panel + (size_t)(k / 2) * NR, x + (size_t)(first_row + row) * ldx + first_k + k, ldx,
            min(K - k, (uint)PACK_COLUMNS), used);
}
