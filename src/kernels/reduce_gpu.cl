// Sums for GPUs: one work-group a chunk of REDUCE_CHUNK elements; each work-item adds every GROUP-th
// element in order, then the work-items are added as a fixed tree.
#define GROUP 256
#include "common.clh"
#include "group_sum.clh"
#include "reduce.clh"

// partial[chunk] = sum of the chunk's elements.
__attribute__((reqd_work_group_size(GROUP, 1, 1)))
kernel void sum_chunks_gpu(global float* restrict partial,  // [chunks]
                           global const float* restrict x,  // [size]
                           ulong size) {
  local float lanes[GROUP];
  const size_t chunk = get_group_id(0);
  const size_t end = min((ulong)(chunk + 1) * REDUCE_CHUNK, size);
  float total = 0.0f;
  for (size_t i = chunk * REDUCE_CHUNK + get_local_id(0); i < end; i += GROUP) total += x[i];
  total = group_sum(lanes, total);
  if (get_local_id(0) == 0) partial[chunk] = total;
}

// squares[chunk] = sum of squares of the chunk's elements, counts[chunk] = how many are not finite.
__attribute__((reqd_work_group_size(GROUP, 1, 1)))
kernel void sum_squares_chunks_gpu(global float* restrict squares,  // [chunks]
                                   global float* restrict counts,   // [chunks]
                                   global const float* restrict x,  // [size]
                                   ulong size) {
  local float lanes[GROUP];
  const size_t chunk = get_group_id(0);
  const size_t end = min((ulong)(chunk + 1) * REDUCE_CHUNK, size);
  float total = 0.0f;
  float count = 0.0f;
  for (size_t i = chunk * REDUCE_CHUNK + get_local_id(0); i < end; i += GROUP) {
    total = fma(x[i], x[i], total);
    count += (float)is_non_finite(x[i]);
  }
  total = group_sum(lanes, total);
  count = group_sum(lanes, count);
  if (get_local_id(0) == 0) {
    squares[chunk] = total;
    counts[chunk] = count;
  }
}
