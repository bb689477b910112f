// RMSNorm for CPUs: one work-item a row, no local memory, sixteen floats at a time.
#include "common.clh"

// y[n,c] = x[n,c] * rstd[n] * w[c], rstd = 1/sqrt(mean_c(x^2) + eps).
// The row's squares are summed in sixteen lanes, the lanes as a fixed tree, the tail in order.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void rms_norm_fwd_cpu(global float* restrict y,        // [N, C]
                             global float* restrict rstd,     // [N]
                             global const float* restrict x,  // [N, C]
                             global const float* restrict w,  // [C]
                             uint C, float eps) {
  const size_t n = get_group_id(0);
  global const float* row = x + n * C;
  float16 lanes = (float16)(0.0f);
  uint c = 0;
  for (; c + 16 <= C; c += 16) {
    const float16 v = LOAD16(row + c);
    lanes = fma(v, v, lanes);
  }
  float total = sum16(lanes);
  for (; c < C; ++c) total = fma(row[c], row[c], total);
  const float r = 1.0f / sqrt(total / (float)C + eps);
  rstd[n] = r;
  global float* out = y + n * C;
  for (c = 0; c + 16 <= C; c += 16) STORE16(out + c, LOAD16(row + c) * r * LOAD16(w + c));
  for (; c < C; ++c) out[c] = row[c] * r * w[c];
}
