// Sums of a matrix's columns for GPUs, in two launches: blocks of rows, then the blocks' sums.
#include "common.clh"
#include "stored.clh"

// Rows of one block; as in linear.cpp. The blocks depend on N alone, so the order of additions does too.
#define ROWS 128
#define COLUMNS 64
#define PARTS 4

// partial[block, c] = sum of x[n, c] over the block's rows. A work-group has 64 columns; work-item (x, y)
// sums rows y, y + 4, ... of column x, and the four sums are added as a tree in local memory.
// partial: [blocks, C]; x: [N, C].
__attribute__((reqd_work_group_size(64, 4, 1)))
kernel void column_sum_blocks_gpu(global float* restrict partial, global const stored* restrict x, uint N,
                                  uint C) {
  local float sums[PARTS][COLUMNS];
  const uint lane = (uint)get_local_id(0);
  const uint part = (uint)get_local_id(1);
  const size_t c = get_group_id(0) * COLUMNS + lane;
  const size_t first = get_group_id(1) * ROWS;
  float sum = 0.0f;
  for (uint i = part; i < ROWS; i += PARTS) {
    if (c < C && first + i < N) sum += load(x + (first + i) * C + c);
  }
  sums[part][lane] = sum;
  barrier(CLK_LOCAL_MEM_FENCE);
  if (part == 0 && c < C) {
    partial[get_group_id(1) * C + c] =
        (sums[0][lane] + sums[1][lane]) + (sums[2][lane] + sums[3][lane]);
  }
}
