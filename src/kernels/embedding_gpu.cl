// Gradients of token and position tables for GPUs: one work-item owns a table element. What is added to
// it is summed first, in order, starting from zero. A row takes `chunks` groups of 256 columns.
#include "common.clh"
#include "stored.clh"

// dtable[rows[u]] += sum of dy[n] over positions[starts[u] .. starts[u+1]). Rows outside the table are
// skipped. Its length varies by token, which is what leaves float atomics out.
__attribute__((reqd_work_group_size(256, 1, 1)))
kernel void embedding_bwd_gpu(global float* restrict dtable,         // [V, C]
                              global const stored* restrict dy,      // [N, C]
                              global const int* restrict rows,       // [U]
                              global const int* restrict starts,     // [U + 1]
                              global const int* restrict positions,  // [N]
                              uint V, uint C, uint chunks) {
  const size_t u = get_group_id(0) / chunks;
  const size_t c = get_group_id(0) % chunks * 256 + get_local_id(0);
  const uint token = (uint)rows[u];  // a negative one becomes huge
  if (token >= V || c >= C) return;
  const int end = starts[u + 1];
  float total = 0.0f;
  for (int i = starts[u]; i < end; ++i) total += load(dy + (size_t)positions[i] * C + c);
  dtable[(size_t)token * C + c] += total;
}

// dtable[t] += sum over b of dy[b*T + t].
__attribute__((reqd_work_group_size(256, 1, 1)))
kernel void position_embedding_bwd_gpu(global float* restrict dtable,     // [T, C]
                                       global const stored* restrict dy,  // [B*T, C]
                                       uint B, uint T, uint C, uint chunks) {
  const size_t t = get_group_id(0) / chunks;
  const size_t c = get_group_id(0) % chunks * 256 + get_local_id(0);
  if (c >= C) return;
  float total = 0.0f;
  for (uint b = 0; b < B; ++b) total += load(dy + ((size_t)b * T + t) * C + c);
  dtable[t * C + c] += total;
}
