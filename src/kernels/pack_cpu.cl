// The last pass over a rank's own gradients, for CPUs: one work-item a chunk of REDUCE_CHUNK elements,
// sixteen at a time, the tail in order. Bound by memory: the branches are the same for all elements.
#include "common.clh"
#include "bf16.clh"
#include "reduce.clh"

// y[i] = ((y[i] + a[i]) + b[i]) + c[i]; bad[0] += how many of these are not finite; rounded[i] = y[i] as
// bf16. Of a, b and c the first that is null ends the sum; without a, y is not written. The count is of
// integers, which have no order of addition, and in all but a failing step nothing is added.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void pack_cpu(global float* restrict y,                     // [size]
                     global int* restrict bad,                     // [1]
                     OPTIONAL global bf16* restrict rounded,       // [size]
                     OPTIONAL global const float* restrict a,      // [size]
                     OPTIONAL global const float* restrict b,      // [size]
                     OPTIONAL global const float* restrict c,      // [size]
                     ulong size) {
  const size_t chunk = get_group_id(0);
  const size_t end = min((ulong)(chunk + 1) * REDUCE_CHUNK, size);
  size_t i = chunk * REDUCE_CHUNK;
  float16 bad_lanes = (float16)(0.0f);  // at most REDUCE_CHUNK in all: exact
  for (; i + 16 <= end; i += 16) {
    float16 v = LOAD16(y + i);
    if (a) v += LOAD16(a + i);
    if (b) v += LOAD16(b + i);
    if (c) v += LOAD16(c + i);
    if (a) STORE16(y + i, v);
    if (rounded) *(global ushort16_u*)(rounded + i) = bf16_of_float16(v);
    const int16 is_bad = (as_int16(v) & 0x7f800000) == 0x7f800000;
    bad_lanes += select((float16)(0.0f), (float16)(1.0f), is_bad);
  }
  int count = (int)sum16(bad_lanes);
  for (; i < end; ++i) {
    float v = y[i];
    if (a) v += a[i];
    if (b) v += b[i];
    if (c) v += c[i];
    if (a) y[i] = v;
    if (rounded) rounded[i] = bf16_of_float(v);
    count += (int)is_non_finite(v);
  }
  if (count > 0) atomic_add(bad, count);
}
