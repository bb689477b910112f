// The second stage of sums over rows, on CPUs: the blocks' partial sums of a column are added in the order of
// the blocks. One work-item has ADD_COLUMNS columns: a column a work-item would fetch a line for every number.
#include "common.clh"

// partials.cpp has the same number.
#define ADD_COLUMNS 64

// out[c] += sum over blocks of partial[block * stride + offset + c].
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void partials_add_cpu(global float* restrict out,            // [C]
                             global const float* restrict partial,  // [blocks, stride]
                             uint blocks, uint C, ulong stride, ulong offset) {
  size_t c = get_group_id(0) * ADD_COLUMNS;
  const size_t end = min(c + ADD_COLUMNS, (size_t)C);
  global const float* first = partial + offset;
  if (c + ADD_COLUMNS <= end) {
    float16 totals[ADD_COLUMNS / 16] = {(float16)(0.0f), (float16)(0.0f), (float16)(0.0f), (float16)(0.0f)};
    for (uint block = 0; block < blocks; ++block) {
#pragma unroll
      for (uint i = 0; i < ADD_COLUMNS / 16; ++i) totals[i] += LOAD16(first + block * stride + c + 16 * i);
    }
#pragma unroll
    for (uint i = 0; i < ADD_COLUMNS / 16; ++i) {
      STORE16(out + c + 16 * i, LOAD16(out + c + 16 * i) + totals[i]);
    }
    return;
  }
  for (; c < end; ++c) {
    float total = 0.0f;
    for (uint block = 0; block < blocks; ++block) total += first[block * stride + c];
    out[c] += total;
  }
}
