// Products of a transposed a on CPUs: a work-item packs some panels of a's rows for itself, in local memory, and
// multiplies them by all panels of b. gemm_turned.h launches this.
// lint: -DMR=12 -DNR=32 -DBLOCK_A=65536
// lint: -DMR=6 -DNR=16 -DBLOCK_A=65536
#define PANEL global
#define A_SPACE local
#include "gemm_tile_cpu.clh"
#include "gemm_panel_cpu.clh"

// The `tiles` tiles of rows of c = a^T b from MR * tiles * group_id(0) on. c: [M, N], written at columns first_column
// to first_column + columns - 1; a: [*, M], read at rows first_k to first_k + K - 1; b: [panels, K, NR], the panels
// from first_column on; bias: [N]. MR * tiles * K is at most BLOCK_A.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void gemm_turned_cpu(global stored_c* restrict c, global const stored* restrict a,
                            global const float* restrict b, OPTIONAL global const float* restrict bias, uint M, uint N,
                            uint K, uint columns, uint first_k, uint first_column, uint tiles, uint accumulate) {
  local float panels[BLOCK_A] __attribute__((aligned(64)));
  const uint first_row = (uint)get_group_id(0) * tiles * MR;
  const uint num_rows = min(tiles * MR, M - first_row);
  for (uint k = 0; k < K; ++k) {
    global const stored* in = a + (size_t)(first_k + k) * M + first_row;
    for (uint row = 0; row < num_rows; row += MR) {
      local float* out = panels + row * K + k * MR;
      if (row + MR <= num_rows) {
#pragma unroll
        for (uint i = 0; i < MR; ++i) out[i] = load(in + row + i);
      } else {
        for (uint i = 0; i < MR; ++i) out[i] = row + i < num_rows ? load(in + row + i) : 0.0f;
      }
    }
  }
  for (uint j = 0; j < columns; j += NR) {
    const size_t column = first_column + j;
    const uint used = min((uint)NR, columns - j);
    for (uint row = 0; row < num_rows; row += MR) {
      const uint rows = min((uint)MR, num_rows - row);
      global stored_c* tile = c + (size_t)(first_row + row) * N + column;
      float16 sums[MR][VECTORS];
      clear_tile(sums);
      expect_tile(tile, N, rows);
      multiply(sums, panels + row * K, 1, MR, MR - 1, b + (size_t)j * K, K);
      store_tile(tile, N, sums, rows, used, bias ? bias + column : bias, accumulate);
    }
  }
}
