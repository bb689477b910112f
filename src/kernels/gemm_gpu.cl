// Matrix multiplication for GPUs: a work-group of 16 x 16 computes a 64 x 64 tile of c through local
// memory, each work-item 4 x 4 of it.
#include "common.clh"
#include "stored.clh"

#define TILE 64
#define TILE_K 16
#define SIDE 16
#define SHARE 4
// One float of padding keeps a column of local memory out of one bank.
#define PITCH (TILE + 1)

// Reads the 64 x 16 block at (first, first_k) of a matrix whose element (i, k) is at
// i * stride + k * k_stride; zero outside. Neighbours read along whichever is contiguous.
// A macro, because the two matrices may be of different types.
#define LOAD_BLOCK(block, LOAD_ELEMENT, x, stride, k_stride, first, size, first_k, K)                   \
  for (uint q = 0; q < SHARE; ++q) {                                                                   \
    const uint e = (uint)get_local_id(1) * SIDE + (uint)get_local_id(0) + q * SIDE * SIDE;             \
    const uint i = k_stride == 1 ? e / TILE_K : e % TILE;                                              \
    const uint k = k_stride == 1 ? e % TILE_K : e / TILE;                                              \
    const bool inside = first + i < size && (size_t)(first_k) + k < K;                                 \
    block[k][i] =                                                                                      \
        inside ? LOAD_ELEMENT(x + (first + i) * stride + ((size_t)(first_k) + k) * k_stride) : 0.0f;   \
  }

// c = op(a) op(b) + bias, replaced or added to; k in ascending order. Element (i, k) of op(a) is at
// i * a_row + k * a_k, element (k, j) of op(b) at j * b_column + k * b_k.
// c: [M, N]; bias: [N] or null. Work-item (x, y) has the tile's columns x + 16 j and rows y + 16 i.
__attribute__((reqd_work_group_size(16, 16, 1)))
kernel void gemm_gpu(global stored_c* restrict c, global const stored* restrict a,
                     global const stored_b* restrict b, OPTIONAL global const float* restrict bias, uint M,
                     uint N, uint K, ulong a_row, ulong a_k, ulong b_column, ulong b_k,
                     uint accumulate) {
  local float block_a[TILE_K][PITCH];
  local float block_b[TILE_K][PITCH];
  const size_t first_row = get_group_id(1) * TILE;
  const size_t first_column = get_group_id(0) * TILE;
  const uint x = (uint)get_local_id(0);
  const uint y = (uint)get_local_id(1);
  float sums[SHARE][SHARE];
  for (uint i = 0; i < SHARE; ++i) {
    for (uint j = 0; j < SHARE; ++j) sums[i][j] = 0.0f;
  }
  const uint blocks = K / TILE_K + (K % TILE_K != 0 ? 1 : 0);
  for (uint block = 0; block < blocks; ++block) {
    LOAD_BLOCK(block_a, load, a, a_row, a_k, first_row, M, block * TILE_K, K)
    LOAD_BLOCK(block_b, LOAD_B, b, b_column, b_k, first_column, N, block * TILE_K, K)
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint k = 0; k < TILE_K; ++k) {
      float rows[SHARE];
      float columns[SHARE];
      for (uint i = 0; i < SHARE; ++i) rows[i] = block_a[k][y + SIDE * i];
      for (uint j = 0; j < SHARE; ++j) columns[j] = block_b[k][x + SIDE * j];
      for (uint i = 0; i < SHARE; ++i) {
        for (uint j = 0; j < SHARE; ++j) sums[i][j] = fma(rows[i], columns[j], sums[i][j]);
      }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
  }
  for (uint i = 0; i < SHARE; ++i) {
    const size_t row = first_row + y + SIDE * i;
    for (uint j = 0; j < SHARE; ++j) {
      const size_t column = first_column + x + SIDE * j;
      if (row >= M || column >= N) continue;
      const float sum = bias ? sums[i][j] + bias[column] : sums[i][j];
      global stored_c* out = c + row * N + column;
      store_c(out, accumulate ? load_c(out) + sum : sum);
    }
  }
}

// c[m, n] += bias[n]: the epilogue of a product that could not add it. One work-item an element of c,
// 256 a group.
kernel void bias_add_gpu(global float* restrict c, global const float* restrict bias, ulong size, uint N) {
  const size_t i = get_global_id(0);
  if (i < size) c[i] += bias[i % N];
}
