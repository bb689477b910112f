// Matrix multiplication for GPUs: a work-group computes a TILE_M x TILE_N tile of c, each work-item ITEM_M x
// ITEM_N of it in registers. The factors come TILE_K by TILE_K through two pairs of blocks in local memory:
// while one is multiplied, the next is on its way. gemm_tiled.h describes and lists the sizes.
// lint: -DTILE_M=128 -DTILE_N=128 -DTILE_K=16 -DITEM_M=8 -DITEM_N=8
// lint: -DTILE_M=64 -DTILE_N=64 -DTILE_K=16 -DITEM_M=4 -DITEM_N=4 -DA_TRANSPOSED=1
// lint: -DTILE_M=32 -DTILE_N=32 -DTILE_K=16 -DITEM_M=4 -DITEM_N=4 -DB_TRANSPOSED=1
// generate sm_80: -DTILE_M=128 -DTILE_N=128 -DTILE_K=16 -DITEM_M=8 -DITEM_N=8
// generate sm_80: -DTILE_M=64 -DTILE_N=64 -DTILE_K=16 -DITEM_M=4 -DITEM_N=4 -DSTORED_BF16=1 -DSTORED_C_BF16=1
// generate gfx90a: -DTILE_M=128 -DTILE_N=128 -DTILE_K=16 -DITEM_M=8 -DITEM_N=8
// generate gfx1100: -DTILE_M=128 -DTILE_N=128 -DTILE_K=16 -DITEM_M=8 -DITEM_N=8
#include "common.clh"
#include "stored_four.clh"
#include "tile_order.clh"

#define GROUP_X (TILE_N / ITEM_N)
#define GROUP_Y (TILE_M / ITEM_M)
#define ITEMS (GROUP_X * GROUP_Y)
// Fours of an item: of the rows and columns it computes, and of each factor's blocks that it brings.
#define ROW_FOURS (ITEM_M / 4)
#define COLUMN_FOURS (ITEM_N / 4)
#define A_FOURS (TILE_M * TILE_K / 4 / ITEMS)
#define B_FOURS (TILE_N * TILE_K / 4 / ITEMS)
// Blocks are [TILE_K][PITCH]; four floats of padding spread what is written along k over the banks.
#define PITCH_A (TILE_M + 4)
#define PITCH_B (TILE_N + 4)

// Fours of a block lie along the contiguous direction of their matrix: along k, or along the rows of op(a)
// and the columns of op(b). Of a block of `width` of these, four e is at:
#define ALONG_K_I(e) ((e) / (TILE_K / 4))
#define ALONG_K_K(e) ((e) % (TILE_K / 4) * 4)
#define ACROSS_K_I(e, width) ((e) % ((width) / 4) * 4)
#define ACROSS_K_K(e, width) ((e) / ((width) / 4))

// Four neighbours of a row-major x [rows, columns] from (row, column) on, zero outside. `wide`: all rows
// start at a multiple of four elements.
#define DEFINE_FETCH(name, type, LOAD, LOAD_FOUR)                                                           \
  INLINE float4 name(global const type* x, uint row, uint column, uint rows, uint columns, uint wide) {     \
    if (row >= rows || column >= columns) return (float4)(0.0f);                                            \
    global const type* p = x + row * (size_t)columns + column;                                              \
    const uint inside = columns - column;                                                                   \
    if (wide && inside >= 4) return LOAD_FOUR(p);                                                           \
    return (float4)(LOAD(p), inside > 1 ? LOAD(p + 1) : 0.0f, inside > 2 ? LOAD(p + 2) : 0.0f,              \
                    inside > 3 ? LOAD(p + 3) : 0.0f);                                                       \
  }
DEFINE_FETCH(fetch_a, stored, load, load_four)
DEFINE_FETCH(fetch_b, stored_b, LOAD_B, LOAD_B_FOUR)

// Writes four elements along k.
INLINE void put_along_k(local float* block, uint pitch, uint i, uint k, float4 v) {
  block[k * pitch + i] = v.x;
  block[(k + 1) * pitch + i] = v.y;
  block[(k + 2) * pitch + i] = v.z;
  block[(k + 3) * pitch + i] = v.w;
}

// What an item brings of the blocks at first_k: into registers, and from there into local memory.
INLINE void fetch(float4 next_a[A_FOURS], float4 next_b[B_FOURS], global const stored* a,
                  global const stored_b* b, uint item, uint first_row, uint first_column, uint first_k,
                  uint M, uint N, uint K, uint wide_a, uint wide_b) {
#pragma unroll
  for (uint q = 0; q < A_FOURS; ++q) {
    const uint e = item + q * ITEMS;
#ifdef A_TRANSPOSED
    next_a[q] = fetch_a(a, first_k + ACROSS_K_K(e, TILE_M), first_row + ACROSS_K_I(e, TILE_M), K, M, wide_a);
#else
    next_a[q] = fetch_a(a, first_row + ALONG_K_I(e), first_k + ALONG_K_K(e), M, K, wide_a);
#endif
  }
#pragma unroll
  for (uint q = 0; q < B_FOURS; ++q) {
    const uint e = item + q * ITEMS;
#ifdef B_TRANSPOSED
    next_b[q] = fetch_b(b, first_column + ALONG_K_I(e), first_k + ALONG_K_K(e), N, K, wide_b);
#else
    next_b[q] = fetch_b(b, first_k + ACROSS_K_K(e, TILE_N), first_column + ACROSS_K_I(e, TILE_N), K, N, wide_b);
#endif
  }
}

INLINE void put(local float* block_a, local float* block_b, const float4 next_a[A_FOURS],
                const float4 next_b[B_FOURS], uint item) {
#pragma unroll
  for (uint q = 0; q < A_FOURS; ++q) {
    const uint e = item + q * ITEMS;
#ifdef A_TRANSPOSED
    *(local float4*)(block_a + ACROSS_K_K(e, TILE_M) * PITCH_A + ACROSS_K_I(e, TILE_M)) = next_a[q];
#else
    put_along_k(block_a, PITCH_A, ALONG_K_I(e), ALONG_K_K(e), next_a[q]);
#endif
  }
#pragma unroll
  for (uint q = 0; q < B_FOURS; ++q) {
    const uint e = item + q * ITEMS;
#ifdef B_TRANSPOSED
    put_along_k(block_b, PITCH_B, ALONG_K_I(e), ALONG_K_K(e), next_b[q]);
#else
    *(local float4*)(block_b + ACROSS_K_K(e, TILE_N) * PITCH_B + ACROSS_K_I(e, TILE_N)) = next_b[q];
#endif
  }
}

// sums[i][v] += a[i] * b[v] for one k after the other. Item (x, y) has the fours x, x + GROUP_X, ... of the
// tile's columns and y, y + GROUP_Y, ... of its rows: neighbours read neighbouring fours.
INLINE void multiply_blocks(float4 sums[ITEM_M][COLUMN_FOURS], local const float* block_a,
                            local const float* block_b, uint x, uint y) {
#pragma unroll
  for (uint k = 0; k < TILE_K; ++k) {
    float4 columns[COLUMN_FOURS];
#pragma unroll
    for (uint v = 0; v < COLUMN_FOURS; ++v)
      columns[v] = *(local const float4*)(block_b + k * PITCH_B + (x + v * GROUP_X) * 4);
#pragma unroll
    for (uint u = 0; u < ROW_FOURS; ++u) {
      const float4 rows = *(local const float4*)(block_a + k * PITCH_A + (y + u * GROUP_Y) * 4);
#pragma unroll
      for (uint v = 0; v < COLUMN_FOURS; ++v) {
        sums[u * 4][v] = fma((float4)(rows.x), columns[v], sums[u * 4][v]);
        sums[u * 4 + 1][v] = fma((float4)(rows.y), columns[v], sums[u * 4 + 1][v]);
        sums[u * 4 + 2][v] = fma((float4)(rows.z), columns[v], sums[u * 4 + 2][v]);
        sums[u * 4 + 3][v] = fma((float4)(rows.w), columns[v], sums[u * 4 + 3][v]);
      }
    }
  }
}

// c[row, column...] = sum + bias, or that is added. `wide` as of fetch.
INLINE void put_result(global stored_c* c, global const float* bias, float4 sum, uint row, uint column,
                       uint M, uint N, uint accumulate, uint wide) {
  if (row >= M || column >= N) return;
  global stored_c* out = c + row * (size_t)N + column;
  if (wide && column + 4 <= N) {
    if (bias) sum += vload4(0, bias + column);
    store_c_four(out, accumulate ? load_c_four(out) + sum : sum);
    return;
  }
  const float sums[4] = {sum.x, sum.y, sum.z, sum.w};
  for (uint j = 0; j < 4 && column + j < N; ++j) {
    const float with_bias = bias ? sums[j] + bias[column + j] : sums[j];
    store_c(out + j, accumulate ? load_c(out + j) + with_bias : with_bias);
  }
}

// c = op(a) op(b) + bias, replaced or added to; each sum in one register, k in ascending order. c: [M, N];
// a: [M, K], or [K, M] with A_TRANSPOSED; b: [K, N], or [N, K] with B_TRANSPOSED; bias: [N] or null. `wide_*`:
// whether all rows of the matrix start at a multiple of four elements. One group a tile, in the order of
// tile_order.clh.
__attribute__((reqd_work_group_size(GROUP_X, GROUP_Y, 1)))
kernel void gemm_gpu(global stored_c* restrict c, global const stored* restrict a,
                     global const stored_b* restrict b, OPTIONAL global const float* restrict bias, uint M,
                     uint N, uint K, uint wide_a, uint wide_b, uint wide_c, uint accumulate) {
  local float block_a[2][TILE_K * PITCH_A] __attribute__((aligned(16)));
  local float block_b[2][TILE_K * PITCH_B] __attribute__((aligned(16)));
  const uint x = (uint)get_local_id(0);
  const uint y = (uint)get_local_id(1);
  const uint item = y * GROUP_X + x;
  const uint2 tile =
      tile_of_group((uint)get_group_id(0), (M + TILE_M - 1) / TILE_M, (N + TILE_N - 1) / TILE_N);
  const uint first_row = tile.y * TILE_M;
  const uint first_column = tile.x * TILE_N;
  float4 next_a[A_FOURS];
  float4 next_b[B_FOURS];
  float4 sums[ITEM_M][COLUMN_FOURS];
#pragma unroll
  for (uint i = 0; i < ITEM_M; ++i) {
#pragma unroll
    for (uint v = 0; v < COLUMN_FOURS; ++v) sums[i][v] = (float4)(0.0f);
  }
  fetch(next_a, next_b, a, b, item, first_row, first_column, 0, M, N, K, wide_a, wide_b);
  put(block_a[0], block_b[0], next_a, next_b, item);
  barrier(CLK_LOCAL_MEM_FENCE);
  const uint blocks = K / TILE_K + (K % TILE_K != 0 ? 1 : 0);
  for (uint block = 0; block < blocks; ++block) {
    // Past the last block these are zeros that nobody reads: a branch would stand between barriers.
    fetch(next_a, next_b, a, b, item, first_row, first_column, (block + 1) * TILE_K, M, N, K, wide_a, wide_b);
    multiply_blocks(sums, block_a[block % 2], block_b[block % 2], x, y);
    put(block_a[(block + 1) % 2], block_b[(block + 1) % 2], next_a, next_b, item);
    barrier(CLK_LOCAL_MEM_FENCE);
  }
#pragma unroll
  for (uint i = 0; i < ITEM_M; ++i) {
    const uint row = first_row + (y + i / 4 * GROUP_Y) * 4 + i % 4;
#pragma unroll
    for (uint v = 0; v < COLUMN_FOURS; ++v) {
      put_result(c, bias, sums[i][v], row, first_column + (x + v * GROUP_X) * 4, M, N, accumulate, wide_c);
    }
  }
}
