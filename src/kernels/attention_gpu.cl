// Causal attention for GPUs, forward. Shapes: qkv [N, (H + 2G) * D] as in ops.h, D = HEAD_DIM.
// lint: -DHEAD_DIM=64
// lint: -DHEAD_DIM=20
#include "attention_gpu.clh"

// y = softmax(scale * Q K^T, causal) V with a running maximum and sum (Dao et al. 2022). A work-item owns
// one query of one head and takes the keys in order; a work-group shares tiles of keys and values.
__attribute__((reqd_work_group_size(GROUP, 1, 1)))
kernel void attention_fwd_gpu(global stored* restrict y,          // [N, H * D]
                              global float* restrict lse,         // [B, H, T]
                              global const stored* restrict qkv,  // [N, (H + 2G) * D]
                              uint T, uint H, uint G, float scale) {
  local float key_tile[TILE * HEAD_DIM];
  local float value_tile[TILE * HEAD_DIM];
  const size_t h = get_group_id(1);
  const size_t b = get_group_id(2);
  const uint q = (uint)get_global_id(0);
  // Work-items behind the end repeat the last query and write nothing: barriers need all of them.
  const uint query = min(q, T - 1);
  const uint end = min(T, (uint)(get_group_id(0) + 1) * GROUP);
  const size_t stride = ((size_t)H + 2 * (size_t)G) * HEAD_DIM;
  global const stored* sequence = qkv + b * T * stride;
  global const stored* keys = sequence + (H + h / (H / G)) * HEAD_DIM;
  global const stored* values = keys + (size_t)G * HEAD_DIM;

  float query_row[HEAD_DIM];
  float out[HEAD_DIM];
  load_row(query_row, sequence + query * stride + h * HEAD_DIM, scale);
  for (uint d = 0; d < HEAD_DIM; ++d) out[d] = 0.0f;
  float maximum = -3.0e38f;  // finite: a difference of two is 0, not NaN
  float total = 0.0f;
  for (uint k0 = 0; k0 < end; k0 += TILE) {
    barrier(CLK_LOCAL_MEM_FENCE);
    load_tile(key_tile, keys + k0 * stride, stride, min((uint)TILE, T - k0), 1.0f);
    load_tile(value_tile, values + k0 * stride, stride, min((uint)TILE, T - k0), 1.0f);
    barrier(CLK_LOCAL_MEM_FENCE);
    const uint num_keys = k0 <= query ? min((uint)TILE, query - k0 + 1) : 0;
    for (uint j = 0; j < num_keys; ++j) {
      const float logit = dot_tile(query_row, key_tile + j * HEAD_DIM);
      if (logit > maximum) {
        const float shrink = exp(maximum - logit);
        total *= shrink;
        for (uint d = 0; d < HEAD_DIM; ++d) out[d] *= shrink;
        maximum = logit;
      }
      const float p = exp(logit - maximum);
      total += p;
      add_tile_row(out, p, value_tile + j * HEAD_DIM);
    }
  }
  if (q >= T) return;
  store_row(y + ((b * T + q) * H + h) * HEAD_DIM, out, 1.0f / total);
  lse[(b * H + h) * T + q] = maximum + log(total);
}
