// How many floating-point operations a device can do at most: chains of multiply-adds without memory, of
// floats or by a matrix unit of the processor.
#include "common.clh"
#include "bf16_pairs.clh"

// As in peak.cpp. The unit's results come late: of ten chains each would wait for itself.
#ifdef X86_AVX512_BF16
#define CHAINS 24
#else
#define CHAINS 10
#endif

// y[i] = what work-item i came to, which nobody needs, but without which the work would be left out.
kernel void peak_fma(global float* restrict y, float x, uint rounds) {
  float16 sums[CHAINS];
  for (uint c = 0; c < CHAINS; ++c) sums[c] = (float16)((float)c);
  const float16 factor = (float16)(x);
  const float16 term = (float16)(1.0f - x);
  for (uint r = 0; r < rounds; ++r) {
#pragma unroll
    for (uint c = 0; c < CHAINS; ++c) {
#ifdef X86_AVX512_BF16
      sums[c] = add_pairs(sums[c], as_uint16(factor), as_uint16(term));
#else
      sums[c] = fma(sums[c], factor, term);
#endif
    }
  }
  float16 all = sums[0];
  for (uint c = 1; c < CHAINS; ++c) all += sums[c];
  y[get_global_id(0)] = sum16(all);
}
