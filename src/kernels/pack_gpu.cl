// The last pass over a rank's own gradients, for GPUs: one work-group a chunk of REDUCE_CHUNK elements;
// each work-item takes every GROUP-th element.
#define GROUP 256
#include "common.clh"
#include "bf16.clh"
#include "group_sum.clh"
#include "reduce.clh"

// y[i] = ((y[i] + a[i]) + b[i]) + c[i]; bad[0] += how many of these are not finite; rounded[i] = y[i] as
// bf16. Of a, b and c the first that is null ends the sum; without a, y is not written. The count is of
// integers, which have no order of addition, and in all but a failing step nothing is added.
__attribute__((reqd_work_group_size(GROUP, 1, 1)))
kernel void pack_gpu(global float* restrict y,                     // [size]
                     global int* restrict bad,                     // [1]
                     OPTIONAL global bf16* restrict rounded,       // [size]
                     OPTIONAL global const float* restrict a,      // [size]
                     OPTIONAL global const float* restrict b,      // [size]
                     OPTIONAL global const float* restrict c,      // [size]
                     ulong size) {
  local float lanes[GROUP];
  const size_t chunk = get_group_id(0);
  const size_t end = min((ulong)(chunk + 1) * REDUCE_CHUNK, size);
  float count = 0.0f;  // at most REDUCE_CHUNK: exact
  for (size_t i = chunk * REDUCE_CHUNK + get_local_id(0); i < end; i += GROUP) {
    float v = y[i];
    if (a) v += a[i];
    if (b) v += b[i];
    if (c) v += c[i];
    if (a) y[i] = v;
    if (rounded) rounded[i] = bf16_of_float(v);
    count += (float)is_non_finite(v);
  }
  count = group_sum(lanes, count);
  if (get_local_id(0) == 0 && count > 0.0f) atomic_add(bad, (int)count);
}
