// Sums of a matrix's columns for CPUs: the gradient of a bias.
#include "common.clh"
#include "stored.clh"

// out[c] += sum_n x[n, c]. One work-item has sixteen columns, a cache line of each row. Rows n, n + 4,
// n + 8, ... go to one of four sums, so that additions need not wait for each other; the sums are added
// as a tree. out: [C]; x: [N, C].
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void column_sum_cpu(global float* restrict out, global const stored* restrict x, uint N, uint C) {
  const size_t first = get_group_id(0) * 16;
  const uint used = (uint)min((size_t)16, C - first);
  global const stored* column = x + first;
  if (used == 16) {
    float16 sums[4] = {(float16)(0.0f), (float16)(0.0f), (float16)(0.0f), (float16)(0.0f)};
    uint n = 0;
    for (; n + 4 <= N; n += 4) {
#pragma unroll
      for (uint i = 0; i < 4; ++i) sums[i] += load16(column + (size_t)(n + i) * C);
    }
    for (; n < N; ++n) sums[0] += load16(column + (size_t)n * C);
    STORE16(out + first, LOAD16(out + first) + ((sums[0] + sums[1]) + (sums[2] + sums[3])));
    return;
  }
  for (uint j = 0; j < used; ++j) {
    float sums[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    uint n = 0;
    for (; n + 4 <= N; n += 4) {
#pragma unroll
      for (uint i = 0; i < 4; ++i) sums[i] += load(column + (size_t)(n + i) * C + j);
    }
    for (; n < N; ++n) sums[0] += load(column + (size_t)n * C + j);
    out[first + j] += (sums[0] + sums[1]) + (sums[2] + sums[3]);
  }
}
