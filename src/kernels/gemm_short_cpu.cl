// Products of few rows on CPUs: a work-item packs a panel of b for itself, in local memory, and multiplies all rows
// by it while it is in the second cache. So b, which is most of what is read, comes from memory once. gemm_short.h
// launches this.
// lint: -DMR=12 -DNR=32 -DBLOCK_K=1024
// lint: -DMR=6 -DNR=16 -DBLOCK_K=1024 -DB_TRANSPOSED=1
#define PANEL local
#define A_SPACE global
#include "gemm_tile_cpu.clh"
#include "gemm_panel_cpu.clh"

// All rows of c = a b of the columns of panel group_id(0).
// c: [M, N]; a: [M, lda], read at columns first_k to first_k + K - 1; b: [*, ldb], read at rows (with B_TRANSPOSED
// columns) first_k to first_k + K - 1; bias: [N]. K is at most BLOCK_K.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void gemm_short_cpu(global stored_c* restrict c, global const float* restrict a,
                           global const stored* restrict b, OPTIONAL global const float* restrict bias, uint M, uint N,
                           uint K, uint lda, uint ldb, uint first_k, uint accumulate) {
  local float panel[BLOCK_K * NR] __attribute__((aligned(64)));
  const size_t column = get_group_id(0) * (size_t)NR;
  const uint columns = (uint)min((size_t)NR, N - column);
#ifdef B_TRANSPOSED
  for (uint j = 0; j < NR; j += 16)
    pack_rows(panel + j, b + (column + j) * ldb + first_k, ldb, K, j < columns ? min(16u, columns - j) : 0);
#else
  pack_columns(panel, b + (size_t)first_k * ldb + column, ldb, K, columns);
#endif
  for (uint row = 0; row < M; row += MR) {
    const uint rows = min((uint)MR, M - row);
    float16 sums[MR][VECTORS];
    clear_tile(sums);
    expect_tile(c + (size_t)row * N + column, N, rows);
    global const float* tile_a = a + (size_t)row * lda + first_k;
    if (rows == MR) {
      multiply(sums, tile_a, lda, 1, MR - 1, panel, K);
    } else {
      multiply(sums, tile_a, lda, 1, rows - 1, panel, K);
    }
    store_tile(c + (size_t)row * N + column, N, sums, rows, columns, bias ? bias + column : bias, accumulate);
  }
}
