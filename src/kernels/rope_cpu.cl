// Rotary position embedding for CPUs. Not shared with GPUs: on PoCL the elementwise kernel takes 4 times
// as long at D = 64 and 150 times at D = 32, where half the lanes of its vectors are masked out.
#include "common.clh"
#include "stored.clh"

// Rotates the pair (i, i + D/2) of every query and key head of row n by the angle of position n % T:
// (a, b) -> (a cos - b sin, b cos + a sin); `direction` -1 rotates back. The heads are the first
// num_heads * D columns of a row of `stride`. A work-item owns a row.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void rope_cpu(global stored* restrict qkv,         // [N, stride]
                     global const float* restrict table,  // [at least T, D]
                     uint T, uint D, uint num_heads, ulong stride, float direction) {
  const size_t n = get_group_id(0);
  const uint half_dim = D / 2;
  global const float* cosines = table + (n % T) * D;
  global const float* sines = cosines + half_dim;
  for (uint head = 0; head < num_heads; ++head) {
    global stored* first = qkv + n * stride + (size_t)head * D;
    global stored* second = first + half_dim;
    uint i = 0;
    for (; i + 16 <= half_dim; i += 16) {
      const float16 c = LOAD16(cosines + i);
      const float16 s = LOAD16(sines + i) * direction;
      const float16 a = load16(first + i);
      const float16 b = load16(second + i);
      store16(first + i, fma(a, c, -(b * s)));
      store16(second + i, fma(b, c, a * s));
    }
    for (; i < half_dim; ++i) {
      const float c = cosines[i];
      const float s = sines[i] * direction;
      const float a = load(first + i);
      const float b = load(second + i);
      store(first + i, fma(a, c, -(b * s)));
      store(second + i, fma(b, c, a * s));
    }
  }
}
