// Tensors of normal numbers, for CPUs: sixteen blocks of four numbers at once. As random_normal_gpu.cl.
#include "common.clh"
#include "philox16.clh"

#define NUMBERS 64   // of sixteen blocks
#define CHUNK 16384  // of a work-item; as in random.cpp

inline float16 uniform16(uint16 words) { return convert_float16(words >> 8u) * (1.0f / 16777216.0f); }

// The cosine and the sine of 2 pi v, for v in [0, 1), off by about one unit in the last place of 1: polynomials of
// single precision (Moshier, Cephes) within an eighth of a turn, turned by quarters.
inline void cos_and_sin(float16 v, float16* cosine, float16* sine) {
  const float16 quarters = rint(4.0f * v);
  const float16 x = (4.0f * v - quarters) * 1.57079632679f;
  const float16 z = x * x;
  float16 s = fma((float16)(-1.9515295891e-4f), z, (float16)(8.3321608736e-3f));
  s = fma(s, z, (float16)(-1.6666654611e-1f));
  s = fma(s * z, x, x);
  float16 c = fma((float16)(2.443315711809948e-5f), z, (float16)(-1.388731625493765e-3f));
  c = fma(c, z, (float16)(4.166664568298827e-2f));
  c = fma(c * z, z, fma((float16)(-0.5f), z, (float16)(1.0f)));
  const int16 turns = convert_int16(quarters);
  const int16 is_odd = (turns & 1) != 0;
  const float16 along = select(c, s, is_odd);
  const float16 across = select(s, c, is_odd);
  *cosine = select(along, -along, ((turns + 1) & 2) != 0);
  *sine = select(across, -across, (turns & 2) != 0);
}

// Two uniforms of each block to two normal numbers.
inline void box_muller(uint16 first, uint16 second, float stddev, float16* x, float16* y) {
  const float16 radius = stddev * sqrt(-2.0f * log(1.0f - uniform16(first)));
  cos_and_sin(uniform16(second), x, y);
  *x *= radius;
  *y *= radius;
}

__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void random_normal_cpu(global float* restrict y, ulong size, uint key0, uint key1, ulong stream,
                              float stddev) {
  const uint16 lanes = (uint16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const ulong begin = get_group_id(0) * (ulong)CHUNK;
  const ulong end = min(size, begin + CHUNK);
  for (ulong at = begin; at < end; at += NUMBERS) {
    const ulong block = at / 4;
    uint16 words[4] = {(uint)block + lanes, (uint16)((uint)(block >> 32)), (uint16)((uint)stream),
                       (uint16)((uint)(stream >> 32))};
    philox16(words, key0, key1);
    float16 normals[4];
    box_muller(words[0], words[1], stddev, &normals[0], &normals[1]);
    box_muller(words[2], words[3], stddev, &normals[2], &normals[3]);
    const float* number = (const float*)normals;
    const uint count = (uint)min((ulong)NUMBERS, end - at);
    if (count == NUMBERS) {
#pragma unroll
      for (uint i = 0; i < NUMBERS; ++i) y[at + i] = number[i % 4 * 16 + i / 4];
    } else {
      for (uint i = 0; i < count; ++i) y[at + i] = number[i % 4 * 16 + i / 4];
    }
  }
}
