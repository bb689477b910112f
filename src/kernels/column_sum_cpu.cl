// Sums of a matrix's columns for CPUs: the gradient of a bias. partials_cpu.cl adds the blocks up.
#include "common.clh"
#include "prefetch.clh"
#include "stored.clh"

// linear.cpp has the same numbers.
#define BLOCK_ROWS 64
#define BLOCK_COLUMNS 2048

// partial[block, c] = sum of x[n, c] over the block's rows. A work-item has so many of the columns, which it
// reads row by row, as they lie in memory: sixteen columns of all rows are a fifth as fast. Four rows are
// added as a tree, these sums in order, while the next four are on their way. partial: [blocks, C]; x: [N, C].
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void column_sum_blocks_cpu(global float* restrict partial, global const stored* restrict x, uint N,
                                  uint C) {
  const size_t block = get_group_id(1);
  const uint begin = (uint)get_group_id(0) * BLOCK_COLUMNS;
  const uint end = min(begin + BLOCK_COLUMNS, C);
  global float* sums = partial + block * C;
  for (uint c = begin; c < end; ++c) sums[c] = 0.0f;
  size_t n = block * BLOCK_ROWS;
  const size_t last = min(n + BLOCK_ROWS, (size_t)N);
  for (; n + 4 <= last; n += 4) {
    global const stored* row = x + n * C;
    uint c = begin;
    for (; c + 16 <= end; c += 16) {
#pragma unroll
      for (uint i = 4; i < 8; ++i) EXPECT(row + i * (size_t)C + c);
      const float16 a = load16(row + c) + load16(row + C + c);
      const float16 b = load16(row + 2 * (size_t)C + c) + load16(row + 3 * (size_t)C + c);
      STORE16(sums + c, LOAD16(sums + c) + (a + b));
    }
    for (; c < end; ++c) {
      const float a = load(row + c) + load(row + C + c);
      const float b = load(row + 2 * (size_t)C + c) + load(row + 3 * (size_t)C + c);
      sums[c] += a + b;
    }
  }
  for (; n < last; ++n) {
    global const stored* row = x + n * C;
    uint c = begin;
    for (; c + 16 <= end; c += 16) STORE16(sums + c, LOAD16(sums + c) + load16(row + c));
    for (; c < end; ++c) sums[c] += load(row + c);
  }
}
