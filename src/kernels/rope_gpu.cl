// Rotary position embedding for GPUs.
#include "common.clh"
#include "stored.clh"

// Rotates the pair (i, i + D/2) of every query and key head of row n by the angle of position n % T:
// (a, b) -> (a cos - b sin, b cos + a sin); `direction` -1 rotates back. The heads are the first
// num_heads * D columns of a row of `stride`. A work-group is 32 pairs of 8 heads; `blocks` groups along
// the first dimension are one row, because rows may be more than another dimension can hold.
__attribute__((reqd_work_group_size(32, 8, 1)))
kernel void rope_gpu(global stored* restrict qkv,         // [N, stride]
                     global const float* restrict table,  // [at least T, D]
                     uint T, uint D, uint num_heads, uint blocks, ulong stride, float direction) {
  const size_t n = get_group_id(0) / blocks;
  const uint half_dim = D / 2;
  const uint i = (uint)(get_group_id(0) % blocks) * 32 + (uint)get_local_id(0);
  const uint head = (uint)get_global_id(1);
  if (i >= half_dim || head >= num_heads) return;
  global const float* angles = table + (n % T) * D;
  global stored* x = qkv + n * stride + (size_t)head * D;
  const float c = angles[i];
  const float s = angles[i + half_dim] * direction;
  const float a = load(x + i);
  const float b = load(x + i + half_dim);
  store(x + i, fma(a, c, -(b * s)));
  store(x + i + half_dim, fma(b, c, a * s));
}
