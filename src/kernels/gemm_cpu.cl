// Matrix multiplication for CPUs: register tiles over packed panels, one work-item a tile, no local
// memory. gemm_packed.cpp cuts a problem into blocks and launches these. Panels are float; what is packed and
// what is computed may be stored in 16 bits.
// lint: -DMR=12 -DNR=32
// lint: -DMR=6 -DNR=16
#define PANEL global
#define A_SPACE global
#include "gemm_tile_cpu.clh"
#include "gemm_panel_cpu.clh"

// One tile of c = a b for a row-major a: the rows from tile_row() on and the columns of panel group_id(1).
// c: [M, N], written at columns first_column on; a: [M, lda], read at columns first_k to first_k + K - 1;
// b: [panels, K, NR], the panels from first_column on; bias: [N].
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void gemm_rows_cpu(global stored_c* restrict c, global const float* restrict a,
                          global const float* restrict b, OPTIONAL global const float* restrict bias,
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
  global const float* tile_a = a + row * lda + first_k;
  global const float* panel_b = b + get_group_id(1) * (size_t)K * NR;
  if (rows == MR) {
    multiply(sums, tile_a, lda, 1, MR - 1, panel_b, K);
  } else {
    multiply(sums, tile_a, lda, 1, rows - 1, panel_b, K);
  }
  store_tile(c + row * N + column, N, sums, rows, columns, bias ? bias + column : bias, accumulate);
}

// The same for a packed a: [panels, K, MR], the last panel padded with zeros.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void gemm_panels_cpu(global stored_c* restrict c, global const float* restrict a,
                            global const float* restrict b, OPTIONAL global const float* restrict bias,
                            uint M, uint N, uint K, uint first_column, uint accumulate) {
  const size_t row = tile_row();
  if (row >= M) return;
  const size_t column = first_column + get_group_id(1) * (size_t)NR;
  const uint rows = (uint)min((size_t)MR, M - row);
  const uint columns = (uint)min((size_t)NR, N - column);
  float16 sums[MR][VECTORS];
  clear_tile(sums);
  expect_tile(c + row * N + column, N, rows);
  global const float* panel_a = a + row * K;
  global const float* panel_b = b + get_group_id(1) * (size_t)K * NR;
  multiply(sums, panel_a, 1, MR, MR - 1, panel_b, K);
  store_tile(c + row * N + column, N, sums, rows, columns, bias ? bias + column : bias, accumulate);
}

// --- packing ---------------------------------------------------------------------------------------

// packed[p][k][j] = x[first_k + k][first_column + p * NR + j], zero past the last column; x: [*, ldx].
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void pack_columns_cpu(global float* restrict packed, global const stored* restrict x, uint columns,
                             uint K, uint ldx, uint first_k, uint first_column) {
  const uint panels = (columns + NR - 1) / NR;
  const uint first_panel = (uint)get_group_id(0) * PACK_PANELS;
  const uint k = (uint)get_group_id(1) * PACK_K;
  for (uint p = first_panel; p < min(panels, first_panel + PACK_PANELS); ++p) {
    pack_columns(packed + ((size_t)p * K + k) * NR, x + (size_t)(first_k + k) * ldx + first_column + p * NR, ldx,
                 min(K - k, (uint)PACK_K), min((uint)NR, columns - p * NR));
  }
}

// packed[p][k][i] = x[first_k + k][first_column + p * MR + i], zero past the last column; x: [*, ldx].
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void pack_transposed_rows_cpu(global float* restrict packed, global const stored* restrict x,
                                     uint columns, uint K, uint ldx, uint first_k, uint first_column) {
  const uint last_k = min(K, (uint)get_group_id(1) * PACK_K + PACK_K);
  const uint panels = (columns + MR - 1) / MR;
  const uint first_panel = (uint)get_group_id(0) * PACK_PANELS;
  for (uint p = first_panel; p < min(panels, first_panel + PACK_PANELS); ++p) {
    const uint used = min((uint)MR, columns - p * MR);
    for (uint k = (uint)get_group_id(1) * PACK_K; k < last_k; ++k) {
      global const stored* in = x + (size_t)(first_k + k) * ldx + first_column + p * MR;
      global float* out = packed + ((size_t)p * K + k) * MR;
      if (used == MR) {
#pragma unroll
        for (uint i = 0; i < MR; ++i) out[i] = load(in + i);
      } else {
        for (uint i = 0; i < MR; ++i) out[i] = i < used ? load(in + i) : 0.0f;
      }
    }
  }
}

// packed[p][k][j] = x[first_row + p * NR + j][first_k + k], zero past the last row; x: [*, ldx].
// One work-item has sixteen columns of a panel and PACK_COLUMNS of k.
#define PACK_COLUMNS 64
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void pack_rows_cpu(global float* restrict packed, global const stored* restrict x, uint rows, uint K,
                          uint ldx, uint first_k, uint first_row) {
  const uint slab = (uint)get_group_id(0);
  const uint row = slab * 16;
  const uint used = row < rows ? min(16u, rows - row) : 0;
  const uint k = (uint)get_group_id(1) * PACK_COLUMNS;
  global float* panel = packed + (size_t)(slab / VECTORS) * K * NR + (slab % VECTORS) * 16;
  pack_rows(panel + (size_t)k * NR, x + (size_t)(first_row + row) * ldx + first_k + k, ldx,
            min(K - k, (uint)PACK_COLUMNS), used);
}
