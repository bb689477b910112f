// Matrix multiplication of bf16 by a GPU's matrix units, with sums in float. A work-group computes a TILE_M x
// TILE_N tile of c, each of its sub-groups PART_M x PART_N of it in products of UNIT_M x UNIT_N x UNIT_K. The
// factors come TILE_K by TILE_K through STAGES pairs of blocks in local memory. What is a unit's own is in a
// file of its own:
//   UNIT_M, UNIT_N, UNIT_K              of a product; a sub-group has UNIT_LANES
//   unit_a, unit_b, unit_c              what a lane has of each matrix
//   load_unit_a, load_unit_b            from local memory
//   multiply_unit                       c + a b
//   UNIT_ROW, UNIT_COLUMN               where in the product the UNIT_SUMS floats of unit_c are
//   UNIT_RUN                            how many of them lie in a row side by side
//   UNIT_TURNS                          defined if factors may lie in local memory along or across k; else
//                                       they lie along k
//   UNIT_COPIES                         defined if copies to local memory go on by themselves
// gemm_matrix.cpp launches these.
// lint: -DUNIT_NVIDIA=1 -DUNIT_LANES=32 -DUNIT_EMULATED=1 -DTILE_M=64 -DTILE_N=64 -DTILE_K=32 -DPART_M=32 -DPART_N=32 -DSTAGES=3
// lint: -DUNIT_INTEL=1 -DUNIT_LANES=8 -DUNIT_EMULATED=1 -DTILE_M=64 -DTILE_N=64 -DTILE_K=32 -DPART_M=32 -DPART_N=32 -DSTAGES=2
// lint: -DUNIT_WMMA=1 -DUNIT_LANES=32 -DUNIT_EMULATED=1 -DTILE_M=64 -DTILE_N=64 -DTILE_K=32 -DPART_M=32 -DPART_N=32 -DSTAGES=2 -DA_TRANSPOSED=1
// lint: -DUNIT_MFMA=1 -DUNIT_LANES=64 -DUNIT_EMULATED=1 -DTILE_M=64 -DTILE_N=64 -DTILE_K=32 -DPART_M=32 -DPART_N=32 -DSTAGES=2 -DB_TRANSPOSED=1
// generate sm_80: -DUNIT_NVIDIA=1 -DUNIT_LANES=32 -DTILE_K=32 -DSTAGES=2 -DTILE_M=128 -DTILE_N=128 -DPART_M=64 -DPART_N=32
// generate sm_80: -DUNIT_NVIDIA=1 -DUNIT_LANES=32 -DTILE_K=32 -DSTAGES=3 -DTILE_M=64 -DTILE_N=64 -DPART_M=32 -DPART_N=32
// generate spir64: -DUNIT_INTEL=1 -DUNIT_LANES=8 -DTILE_K=32 -DSTAGES=2 -DTILE_M=128 -DTILE_N=128 -DPART_M=32 -DPART_N=16
// generate spir64: -DUNIT_INTEL=1 -DUNIT_LANES=16 -DTILE_K=32 -DSTAGES=2 -DTILE_M=128 -DTILE_N=128 -DPART_M=32 -DPART_N=32
// generate gfx1100: -DUNIT_WMMA=1 -DUNIT_LANES=32 -DTILE_K=32 -DSTAGES=2 -DTILE_M=128 -DTILE_N=64 -DPART_M=32 -DPART_N=32
// generate gfx90a: -DUNIT_MFMA=1 -DUNIT_LANES=64 -DTILE_K=32 -DSTAGES=2 -DTILE_M=128 -DTILE_N=128 -DPART_M=64 -DPART_N=64
#include "common.clh"
#include "stored.clh"
#include "tile_order.clh"
#include "matrix_emulation.clh"
#ifdef UNIT_NVIDIA
#include "matrix_nvidia.clh"
#endif
#ifdef UNIT_INTEL
#include "matrix_intel.clh"
#endif
#ifdef UNIT_WMMA
#include "matrix_wmma.clh"
#endif
#ifdef UNIT_MFMA
#include "matrix_mfma.clh"
#endif

typedef union {
  unit_c c;
  float each[UNIT_SUMS];
} unit_sums;

#define PARTS_M (TILE_M / PART_M)
#define PARTS_N (TILE_N / PART_N)
#define UNITS_M (PART_M / UNIT_M)
#define UNITS_N (PART_N / UNIT_N)
#define ITEMS (PARTS_M * PARTS_N * UNIT_LANES)
// Eights of an item: bf16 are moved 16 bytes at a time.
#define A_EIGHTS (TILE_M * TILE_K / 8 / ITEMS)
#define B_EIGHTS (TILE_N * TILE_K / 8 / ITEMS)

// Lines of a matrix in global memory lie along k or across it; a block of it in local memory has lines of its
// own, with 16 bytes of padding, which spread what lanes read together over the banks.
#ifdef A_TRANSPOSED
#define A_LINE TILE_M
#else
#define A_LINE TILE_K
#endif
#ifdef B_TRANSPOSED
#define B_LINE TILE_K
#else
#define B_LINE TILE_N
#endif
#define PADDING 8
#ifdef UNIT_TURNS
#define A_PITCH (A_LINE + PADDING)
#define B_PITCH (B_LINE + PADDING)
#define A_BLOCK (TILE_M * TILE_K / A_LINE * A_PITCH)
#define B_BLOCK (TILE_N * TILE_K / B_LINE * B_PITCH)
#else
#define A_PITCH (TILE_K + PADDING)
#define B_PITCH (TILE_K + PADDING)
#define A_BLOCK (TILE_M * A_PITCH)
#define B_BLOCK (TILE_N * B_PITCH)
#endif

// Eight neighbours of a row-major x [rows, columns] from (row, column) on, zero outside. `wide`: all rows
// start at, and so are as long as, a multiple of eight elements.
INLINE ushort8 fetch_eight(global const bf16* x, uint row, uint column, uint rows, uint columns, uint wide) {
  if (row >= rows || column >= columns) return (ushort8)(0);
  global const bf16* p = x + row * (size_t)columns + column;
  if (wide) return *(global const ushort8*)p;
  // Without branches: past the end the last element is read again, and not taken.
  const uint last = min(columns - column - 1, 7u);
  return (ushort8)(p[0], last >= 1 ? p[min(1u, last)] : 0, last >= 2 ? p[min(2u, last)] : 0,
                   last >= 3 ? p[min(3u, last)] : 0, last >= 4 ? p[min(4u, last)] : 0,
                   last >= 5 ? p[min(5u, last)] : 0, last >= 6 ? p[min(6u, last)] : 0,
                   last >= 7 ? p[last] : 0);
}

#ifdef UNIT_COPIES

// Brings an item's part of the block of lines from (first_line, first) on.
INLINE void start_block(local bf16* block, uint line_length, uint pitch, uint eights, global const bf16* x,
                        uint item, uint first_line, uint first, uint lines, uint length, uint wide) {
#pragma unroll UNIT_UNROLL
  for (uint q = 0; q < eights; ++q) {
    const uint e = item + q * ITEMS;
    const uint line = e / (line_length / 8);
    const uint at = e % (line_length / 8) * 8;
    local bf16* to = block + line * pitch + at;
    if (wide) {
      const bool inside = first_line + line < lines && first + at < length;
      start_copy(to, inside ? x + (first_line + line) * (size_t)length + first + at : x, !inside);
    } else {
      *(local ushort8*)to = fetch_eight(x, first_line + line, first + at, lines, length, 0);
    }
  }
}
#define START_A(first_line, first, lines, length) \
  start_block(block_a, A_LINE, A_PITCH, A_EIGHTS, a, item, first_line, first, lines, length, wide_a)
#define START_B(first_line, first, lines, length) \
  start_block(block_b, B_LINE, B_PITCH, B_EIGHTS, b, item, first_line, first, lines, length, wide_b)
#define NEXT_PARAMETERS local bf16 *block_a, local bf16 *block_b,
#define NEXT_ARGUMENTS block_a, block_b,
#define FINISH_BLOCKS
#else
INLINE void start_block(ushort8* next, uint line_length, uint eights, global const bf16* x, uint item,
                        uint first_line, uint first, uint lines, uint length, uint wide) {
#pragma unroll UNIT_UNROLL
  for (uint q = 0; q < eights; ++q) {
    const uint e = item + q * ITEMS;
    next[q] = fetch_eight(x, first_line + e / (line_length / 8), first + e % (line_length / 8) * 8, lines,
                          length, wide);
  }
}
#define START_A(first_line, first, lines, length) \
  start_block(next_a, A_LINE, A_EIGHTS, a, item, first_line, first, lines, length, wide_a)
#define START_B(first_line, first, lines, length) \
  start_block(next_b, B_LINE, B_EIGHTS, b, item, first_line, first, lines, length, wide_b)
#define NEXT_PARAMETERS ushort8 *next_a, ushort8 *next_b,
#define NEXT_ARGUMENTS next_a, next_b,

// Puts what start_block() brought where the unit reads it: lines along k as they are, others turned.
INLINE void put_lines(local bf16* block, uint line_length, uint pitch, uint eights, const ushort8* next,
                      uint item) {
#pragma unroll UNIT_UNROLL
  for (uint q = 0; q < eights; ++q) {
    const uint e = item + q * ITEMS;
    *(local ushort8*)(block + e / (line_length / 8) * pitch + e % (line_length / 8) * 8) = next[q];
  }
}
INLINE void put_turned_lines(local bf16* block, uint line_length, uint pitch, uint eights,
                             const ushort8* next, uint item) {
#pragma unroll UNIT_UNROLL
  for (uint q = 0; q < eights; ++q) {
    const uint e = item + q * ITEMS;
    local bf16* to = block + e % (line_length / 8) * 8 * pitch + e / (line_length / 8);
    to[0] = next[q].s0;
    to[pitch] = next[q].s1;
    to[2 * pitch] = next[q].s2;
    to[3 * pitch] = next[q].s3;
    to[4 * pitch] = next[q].s4;
    to[5 * pitch] = next[q].s5;
    to[6 * pitch] = next[q].s6;
    to[7 * pitch] = next[q].s7;
  }
}
#ifdef A_TRANSPOSED
#define PUT_A put_turned_lines
#else
#define PUT_A put_lines
#endif
#ifdef B_TRANSPOSED
#define PUT_B put_lines
#else
#define PUT_B put_turned_lines
#endif
#define FINISH_BLOCKS                                           \
  PUT_A(block_a, A_LINE, A_PITCH, A_EIGHTS, next_a, item);      \
  PUT_B(block_b, B_LINE, B_PITCH, B_EIGHTS, next_b, item)
#endif

// Starts to bring the blocks at first_k.
INLINE void start_blocks(NEXT_PARAMETERS global const bf16* a, global const bf16* b, uint item,
                         uint first_row, uint first_column, uint first_k, uint M, uint N, uint K, uint wide_a,
                         uint wide_b) {
#ifdef A_TRANSPOSED
  START_A(first_k, first_row, K, M);
#else
  START_A(first_row, first_k, M, K);
#endif
#ifdef B_TRANSPOSED
  START_B(first_column, first_k, N, K);
#else
  START_B(first_k, first_column, K, N);
#endif
#ifdef UNIT_COPIES
  end_copies();
#endif
}

INLINE void multiply_blocks(unit_c sums[UNITS_M][UNITS_N], local const bf16* block_a,
                            local const bf16* block_b, uint part_row, uint part_column,
                            uint lane EXCHANGE_PARAMETER) {
#pragma unroll UNIT_UNROLL
  for (uint k = 0; k < TILE_K; k += UNIT_K) {
    unit_a rows[UNITS_M];
#pragma unroll UNIT_UNROLL
    for (uint u = 0; u < UNITS_M; ++u)
      rows[u] = load_unit_a(block_a, A_PITCH, part_row + u * UNIT_M, k, lane EXCHANGE_ARGUMENT);
#pragma unroll UNIT_UNROLL
    for (uint v = 0; v < UNITS_N; ++v) {
      const unit_b columns = load_unit_b(block_b, B_PITCH, part_column + v * UNIT_N, k, lane EXCHANGE_ARGUMENT);
#pragma unroll UNIT_UNROLL
      for (uint u = 0; u < UNITS_M; ++u)
        sums[u][v] = multiply_unit(sums[u][v], rows[u], columns EXCHANGE_ARGUMENT);
    }
  }
}

// c[row, column] = sum + bias, or that is added.
INLINE void put_sum(global stored_c* c, global const float* bias, float sum, uint row, uint column, uint M,
                    uint N, uint accumulate) {
  if (row >= M || column >= N) return;
  global stored_c* out = c + row * (size_t)N + column;
  const float with_bias = bias ? sum + bias[column] : sum;
  store_c(out, accumulate ? load_c(out) + with_bias : with_bias);
}

// The same of two neighbours, where all rows start at an even element.
INLINE void put_two_sums(global stored_c* c, global const float* bias, float2 sums, uint row, uint column,
                         uint M, uint N, uint accumulate) {
  if (row >= M || column >= N) return;
  global stored_c* out = c + row * (size_t)N + column;
  if (bias) sums += (float2)(bias[column], bias[column + 1]);
  if (accumulate) sums = (float2)(load_c(out), load_c(out + 1)) + sums;
#ifdef STORED_C_BF16
  *(global ushort2*)out = (ushort2)(bf16_of_float(sums.x), bf16_of_float(sums.y));
#else
  *(global float2*)out = sums;
#endif
}

// c = op(a) op(b) + bias, replaced or added to; k in ascending order from product to product of the unit. c:
// [M, N]; a: [M, K], or [K, M] with A_TRANSPOSED; b: [K, N], or [N, K] with B_TRANSPOSED; bias: [N] or null.
// `wide_*`: whether all rows of the matrix start at a multiple of eight elements, of c of two. One group a
// tile, in the order of tile_order.clh.
__attribute__((reqd_work_group_size(ITEMS, 1, 1)))
#if defined(UNIT_INTEL) && !defined(UNIT_EMULATED)
__attribute__((intel_reqd_sub_group_size(UNIT_LANES)))
#endif
kernel void gemm_matrix_gpu(global stored_c* restrict c, global const bf16* restrict a,
                            global const bf16* restrict b, OPTIONAL global const float* restrict bias,
                            uint M, uint N, uint K, uint wide_a, uint wide_b, uint wide_c, uint accumulate) {
  local bf16 blocks_a[STAGES * A_BLOCK] __attribute__((aligned(16)));
  local bf16 blocks_b[STAGES * B_BLOCK] __attribute__((aligned(16)));
  const uint item = (uint)get_local_id(0);
  const uint lane = item % UNIT_LANES;
  const uint part = item / UNIT_LANES;
  const uint part_row = part / PARTS_N * PART_M;
  const uint part_column = part % PARTS_N * PART_N;
#ifdef UNIT_EMULATED
  local uint exchanges[ITEMS * UNIT_WORDS];
  local uint* exchange = exchanges + part * UNIT_LANES * UNIT_WORDS;
#endif
  const uint2 tile = tile_of_group((uint)get_group_id(0), M / TILE_M + (M % TILE_M != 0 ? 1 : 0),
                                   N / TILE_N + (N % TILE_N != 0 ? 1 : 0));
  const uint first_row = tile.y * TILE_M;
  const uint first_column = tile.x * TILE_N;
#ifndef UNIT_COPIES
  ushort8 next_a[A_EIGHTS];
  ushort8 next_b[B_EIGHTS];
#endif
  unit_c sums[UNITS_M][UNITS_N];
#pragma unroll UNIT_UNROLL
  for (uint u = 0; u < UNITS_M; ++u) {
#pragma unroll UNIT_UNROLL
    for (uint v = 0; v < UNITS_N; ++v) sums[u][v] = (unit_c)(0.0f);
  }
  for (uint stage = 0; stage < STAGES - 1; ++stage) {
    local bf16* block_a = blocks_a + stage * A_BLOCK;
    local bf16* block_b = blocks_b + stage * B_BLOCK;
    start_blocks(NEXT_ARGUMENTS a, b, item, first_row, first_column, stage * TILE_K, M, N, K, wide_a, wide_b);
    FINISH_BLOCKS;
  }
  const uint blocks = K / TILE_K + (K % TILE_K != 0 ? 1 : 0);
  for (uint block = 0; block < blocks; ++block) {
    // The blocks that were multiplied last are free once all items have come here. Past the end of k zeros
    // are brought, which nobody reads: a branch would stand between barriers.
    const uint now = block % STAGES;
    const uint next = (block + STAGES - 1) % STAGES;
    local bf16* block_a = blocks_a + next * A_BLOCK;
    local bf16* block_b = blocks_b + next * B_BLOCK;
#ifdef UNIT_COPIES
    wait_for_copies();
#endif
    barrier(CLK_LOCAL_MEM_FENCE);
    start_blocks(NEXT_ARGUMENTS a, b, item, first_row, first_column,
                 (block + STAGES - 1) * TILE_K, M, N, K, wide_a, wide_b);
    multiply_blocks(sums, blocks_a + now * A_BLOCK, blocks_b + now * B_BLOCK, part_row, part_column,
                    lane EXCHANGE_ARGUMENT);
    FINISH_BLOCKS;
  }
#pragma unroll UNIT_UNROLL
  for (uint u = 0; u < UNITS_M; ++u) {
#pragma unroll UNIT_UNROLL
    for (uint v = 0; v < UNITS_N; ++v) {
      unit_sums values;
      values.c = sums[u][v];
#pragma unroll UNIT_UNROLL
      for (uint i = 0; i < UNIT_SUMS; i += UNIT_RUN) {
        const uint row = first_row + part_row + u * UNIT_M + UNIT_ROW(i, lane);
        const uint column = first_column + part_column + v * UNIT_N + UNIT_COLUMN(i, lane);
        if (UNIT_RUN == 2 && wide_c) {
          put_two_sums(c, bias, (float2)(values.each[i], values.each[i + UNIT_RUN - 1]), row, column, M, N,
                       accumulate);
          continue;
        }
#pragma unroll UNIT_UNROLL
        for (uint j = 0; j < UNIT_RUN; ++j)
          put_sum(c, bias, values.each[i + j], row, column + j, M, N, accumulate);
      }
    }
  }
}
