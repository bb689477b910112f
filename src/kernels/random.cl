// Random tensors, on CPUs and GPUs alike: one work-item a block of four numbers. Number i depends on the
// key, the stream and i alone.
#include "common.clh"
#include "philox.clh"

#define GROUP 64

// y[i], ..., y[i+3] = values, as far as there are elements.
inline void store_up_to_4(global float* y, size_t i, ulong size, float4 values) {
  if (i < size) y[i] = values.x;
  if (i + 1 < size) y[i + 1] = values.y;
  if (i + 2 < size) y[i + 2] = values.z;
  if (i + 3 < size) y[i + 3] = values.w;
}

// y[i] = Random::uniform(i).
__attribute__((reqd_work_group_size(GROUP, 1, 1)))
kernel void random_uniform_fill(global float* restrict y, ulong size, uint key0, uint key1, ulong stream) {
  const size_t block = get_global_id(0);
  store_up_to_4(y, 4 * block, size, uniform_of(random_block(block, key0, key1, stream)));
}

// Box and Muller 1958: two uniforms u, v make sqrt(-2 ln u) cos(2 pi v) and sqrt(-2 ln u) sin(2 pi v).
// 1 - u lies in (0, 1], so that the logarithm is finite.
__attribute__((reqd_work_group_size(GROUP, 1, 1)))
kernel void random_normal_fill(global float* restrict y, ulong size, uint key0, uint key1, ulong stream,
                               float stddev) {
  const size_t block = get_global_id(0);
  const float4 u = uniform_of(random_block(block, key0, key1, stream));
  const float2 radius = stddev * sqrt(-2.0f * log(1.0f - u.even));
  const float2 angle = 2.0f * u.odd;
  const float2 x = radius * cospi(angle);
  const float2 z = radius * sinpi(angle);
  store_up_to_4(y, 4 * block, size, (float4)(x.x, z.x, x.y, z.y));
}
