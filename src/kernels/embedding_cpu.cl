// Gradients of token and position tables for CPUs: one work-item owns a table row, sixteen columns at a
// time. What is added to the row is summed first, in order, starting from zero.
#include "common.clh"
#include "stored.clh"

// dtable[rows[u]] += sum of dy[n] over positions[starts[u] .. starts[u+1]). Rows outside the table are
// skipped. One work-item a distinct token.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void embedding_bwd_cpu(global float* restrict dtable,         // [V, C]
                              global const stored* restrict dy,      // [N, C]
                              global const int* restrict rows,       // [U]
                              global const int* restrict starts,     // [U + 1]
                              global const int* restrict positions,  // [N]
                              uint V, uint C) {
  const size_t u = get_group_id(0);
  const uint token = (uint)rows[u];  // a negative one becomes huge
  if (token >= V) return;
  global float* out = dtable + (size_t)token * C;
  const int begin = starts[u];
  const int end = starts[u + 1];
  uint c = 0;
  for (; c + 16 <= C; c += 16) {
    float16 total = (float16)(0.0f);
    for (int i = begin; i < end; ++i) total += load16(dy + (size_t)positions[i] * C + c);
    STORE16(out + c, LOAD16(out + c) + total);
  }
  for (; c < C; ++c) {
    float total = 0.0f;
    for (int i = begin; i < end; ++i) total += load(dy + (size_t)positions[i] * C + c);
    out[c] += total;
  }
}

// dtable[t] += sum over b of dy[b*T + t]. One work-item a position t.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void position_embedding_bwd_cpu(global float* restrict dtable,     // [T, C]
                                       global const stored* restrict dy,  // [B*T, C]
                                       uint B, uint T, uint C) {
  const size_t t = get_group_id(0);
  global float* out = dtable + t * C;
  uint c = 0;
  for (; c + 16 <= C; c += 16) {
    float16 total = (float16)(0.0f);
    for (uint b = 0; b < B; ++b) total += load16(dy + ((size_t)b * T + t) * C + c);
    STORE16(out + c, LOAD16(out + c) + total);
  }
  for (; c < C; ++c) {
    float total = 0.0f;
    for (uint b = 0; b < B; ++b) total += load(dy + ((size_t)b * T + t) * C + c);
    out[c] += total;
  }
}
