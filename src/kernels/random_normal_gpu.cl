// Tensors of normal numbers, for GPUs: one work-item a block of four numbers. Number i depends on the key, the
// stream and i alone.
#include "common.clh"
#include "philox.clh"

#define GROUP 64

// Box and Muller 1958: two uniforms u, v make sqrt(-2 ln u) cos(2 pi v) and sqrt(-2 ln u) sin(2 pi v).
// 1 - u lies in (0, 1], so that the logarithm is finite.
__attribute__((reqd_work_group_size(GROUP, 1, 1)))
kernel void random_normal_gpu(global float* restrict y, ulong size, uint key0, uint key1, ulong stream,
                              float stddev) {
  const size_t block = get_global_id(0);
  const float4 u = uniform_of(random_block(block, key0, key1, stream));
  const float2 radius = stddev * sqrt(-2.0f * log(1.0f - u.even));
  const float2 angle = 2.0f * u.odd;
  const float2 x = radius * cospi(angle);
  const float2 z = radius * sinpi(angle);
  store_up_to_4(y, 4 * block, size, (float4)(x.x, z.x, x.y, z.y));
}
