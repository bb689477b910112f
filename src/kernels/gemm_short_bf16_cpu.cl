// Products of few rows of bf16 on CPUs, as gemm_short_cpu.cl has them of floats. gemm_short.h launches this.
// lint: -DMR=12 -DNR=32 -DBLOCK_K=2048
// lint: -DMR=6 -DNR=16 -DBLOCK_K=2048 -DB_TRANSPOSED=1
#define PANEL local
#include "gemm_tile_cpu.clh"
#include "gemm_panel_bf16_cpu.clh"

// As gemm_short_cpu.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void gemm_short_bf16_cpu(global stored_c* restrict c, global const bf16* restrict a,
                                global const stored* restrict b, OPTIONAL global const float* restrict bias,
                                uint M, uint N, uint K, uint lda, uint ldb, uint first_k, uint accumulate) {
  local uint panel[BLOCK_K / 2 * NR] __attribute__((aligned(64)));
  const size_t column = get_group_id(0) * (size_t)NR;
  const uint columns = (uint)min((size_t)NR, N - column);
#ifdef B_TRANSPOSED
  for (uint j = 0; j < NR; j += 16)
    pack_rows(panel + j, b + (column + j) * ldb + first_k, ldb, K, j < columns ? min(16u, columns - j) : 0);
#else
  pack_columns(panel, b + (size_t)first_k * ldb + column, ldb, K, columns, NR);
#endif
  for (uint row = 0; row < M; row += MR) {
    const uint rows = min((uint)MR, M - row);
    float16 sums[MR][VECTORS];
    clear_tile(sums);
    expect_tile(c + (size_t)row * N + column, N, rows);
    multiply_rows(sums, a + (size_t)row * lda + first_k, lda, rows, panel, K);
    store_tile(c + (size_t)row * N + column, N, sums, rows, columns, bias ? bias + column : bias, accumulate);
  }
}
