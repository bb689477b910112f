// Sums for CPUs: one work-item a chunk of REDUCE_CHUNK elements. A chunk is summed in four times sixteen
// lanes (so that a lane adds 64 numbers and the additions overlap), the lanes as a fixed tree, the tail in
// order.
#include "common.clh"
#include "reduce.clh"

inline float sum4x16(const float16* lanes) { return sum16((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])); }

// partial[chunk] = sum of the chunk's elements.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void sum_chunks_cpu(global float* restrict partial,  // [chunks]
                           global const float* restrict x,  // [size]
                           ulong size) {
  const size_t chunk = get_group_id(0);
  const size_t end = min((ulong)(chunk + 1) * REDUCE_CHUNK, size);
  size_t i = chunk * REDUCE_CHUNK;
  float16 lanes[4] = {(float16)(0.0f), (float16)(0.0f), (float16)(0.0f), (float16)(0.0f)};
  for (; i + 64 <= end; i += 64) {
    for (uint j = 0; j < 4; ++j) lanes[j] += LOAD16(x + i + 16 * j);
  }
  float total = sum4x16(lanes);
  for (; i < end; ++i) total += x[i];
  partial[chunk] = total;
}

// squares[chunk] = sum of squares of the chunk's elements, counts[chunk] = how many are not finite.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void sum_squares_chunks_cpu(global float* restrict squares,  // [chunks]
                                   global float* restrict counts,   // [chunks]
                                   global const float* restrict x,  // [size]
                                   ulong size) {
  const size_t chunk = get_group_id(0);
  const size_t end = min((ulong)(chunk + 1) * REDUCE_CHUNK, size);
  size_t i = chunk * REDUCE_CHUNK;
  float16 lanes[4] = {(float16)(0.0f), (float16)(0.0f), (float16)(0.0f), (float16)(0.0f)};
  float16 bad = (float16)(0.0f);
  for (; i + 64 <= end; i += 64) {
    for (uint j = 0; j < 4; ++j) {
      const float16 v = LOAD16(x + i + 16 * j);
      lanes[j] = fma(v, v, lanes[j]);
      const int16 is_bad = (as_int16(v) & 0x7f800000) == 0x7f800000;
      bad += select((float16)(0.0f), (float16)(1.0f), is_bad);
    }
  }
  float total = sum4x16(lanes);
  float count = sum16(bad);
  for (; i < end; ++i) {
    total = fma(x[i], x[i], total);
    count += (float)is_non_finite(x[i]);
  }
  squares[chunk] = total;
  counts[chunk] = count;
}
