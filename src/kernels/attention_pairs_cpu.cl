// Causal attention in bf16 by a matrix unit, for CPUs: the kernels of attention_cpu.cl and
// attention_backward_cpu.cl, which say how they go about it, over pairs. qkv is bf16.
// lint: -DHEAD_DIM=64
#include "attention_pairs_cpu.clh"

// y = softmax(scale * Q K^T, causal) V. A work-item owns 16 queries of one head; in the logits a query is a
// lane.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void attention_fwd_pairs_cpu(global bf16* restrict y,          // [N, H * D]
                                    global float* restrict lse,       // [B, H, T]
                                    global const bf16* restrict qkv,  // [N, (H + 2G) * D]
                                    uint T, uint H, uint G, float scale) {
  const uint q0 = (uint)(get_num_groups(0) - 1 - get_group_id(0)) * BLOCK;
  const size_t h = get_group_id(1);
  const size_t b = get_group_id(2);
  const uint num_queries = min((uint)BLOCK, T - q0);
  const size_t stride = ((size_t)H + 2 * (size_t)G) * HEAD_DIM;
  global const bf16* sequence = qkv + b * T * stride;
  global const bf16* keys = sequence + (H + h / (H / G)) * HEAD_DIM;
  global const bf16* values = keys + (size_t)G * HEAD_DIM;

  uint16 query_columns[PAIRS];
  load_columns(query_columns, sequence + q0 * stride + h * HEAD_DIM, stride, num_queries);
  float16 out[BLOCK * VECTORS];
  clear_tile(out);
  float16 maximum = (float16)(MASKED);
  float16 total = (float16)(0.0f);
  for (uint k0 = 0; k0 <= q0; k0 += BLOCK) {
    const uint num_keys = k0 == q0 ? num_queries : BLOCK;
    uint16 block[BLOCK * PAIRS / 16];
    load_rows(block, keys + k0 * stride, stride, num_keys);
    float16 p[BLOCK];  // [key], lane query
    dot_block(p, block, query_columns);
    for (int j = 0; j < BLOCK; ++j) {
      p[j] *= scale;
      if (k0 == q0) p[j] = select(p[j], (float16)(MASKED), lane_numbers() < j);
    }
    float16 new_maximum = maximum;
    for (uint j = 0; j < BLOCK; ++j) new_maximum = larger16(new_maximum, p[j]);
    // A factor of 1 changes nothing, and maxima settle after a few blocks.
    if (any(new_maximum != maximum)) {
      const float16 shrink = exp16(maximum - new_maximum);
      total *= shrink;
      for (uint i = 0; i < BLOCK; ++i) {
        for (uint v = 0; v < VECTORS; ++v) out[i * VECTORS + v] *= ((private const float*)&shrink)[i];
      }
      maximum = new_maximum;
    }
    for (uint j = 0; j < BLOCK; ++j) {
      p[j] = exp16(p[j] - maximum);
      total += p[j];
    }
    load_rows(block, values + k0 * stride, stride, num_keys);
    add_weighted(out, p, block);
  }

  const float16 inverse = 1.0f / total;
  const float16 log_total = maximum + log(total);
  for (uint i = 0; i < num_queries; ++i) {
    store_row(y + ((b * T + q0 + i) * H + h) * HEAD_DIM, out + i * VECTORS,
              ((private const float*)&inverse)[i]);
    lse[(b * H + h) * T + q0 + i] = ((private const float*)&log_total)[i];
  }
}

// sum over d of a[d] * b[d], in sixteen lanes, the lanes as a fixed tree.
static inline float dot_row(global const bf16* a, global const bf16* b) {
  float16 lanes = (float16)(0.0f);
  for (uint d = 0; d < HEAD_DIM; d += 16)
    lanes = fma(float16_of_bf16(*(global const ushort16_u*)(a + d)),
                float16_of_bf16(*(global const ushort16_u*)(b + d)), lanes);
  return sum16(lanes);
}

// The query columns of dqkv, and delta for attention_bwd_dkdv_pairs_cpu, which runs after it. A work-item
// owns 16 queries of one head; in P a query is a lane.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void attention_bwd_dq_pairs_cpu(global bf16* restrict dqkv,       // [N, (H + 2G) * D]
                                       global float* restrict delta,     // [B, H, T]
                                       global const bf16* restrict dy,   // [N, H * D]
                                       global const bf16* restrict y,    // [N, H * D]
                                       global const float* restrict lse, // [B, H, T]
                                       global const bf16* restrict qkv,  // [N, (H + 2G) * D]
                                       uint T, uint H, uint G, float scale) {
  const uint q0 = (uint)(get_num_groups(0) - 1 - get_group_id(0)) * BLOCK;
  const size_t h = get_group_id(1);
  const size_t b = get_group_id(2);
  const uint num_queries = min((uint)BLOCK, T - q0);
  const size_t stride = ((size_t)H + 2 * (size_t)G) * HEAD_DIM;
  const size_t y_stride = (size_t)H * HEAD_DIM;
  global const bf16* keys = qkv + b * T * stride + (H + h / (H / G)) * HEAD_DIM;
  global const bf16* values = keys + (size_t)G * HEAD_DIM;
  const size_t first_query = (b * T + q0) * stride + h * HEAD_DIM;
  const size_t first_y = (b * T + q0) * y_stride + h * HEAD_DIM;
  const size_t first_saved = (b * H + h) * T + q0;

  float16 saved_lse = (float16)(0.0f);
  float16 row_delta = (float16)(0.0f);
  for (uint i = 0; i < num_queries; ++i) {
    const float d = dot_row(dy + first_y + i * y_stride, y + first_y + i * y_stride);
    delta[first_saved + i] = d;
    ((private float*)&row_delta)[i] = d;
    ((private float*)&saved_lse)[i] = lse[first_saved + i];
  }
  uint16 query_columns[PAIRS];
  uint16 dy_columns[PAIRS];
  load_columns(query_columns, qkv + first_query, stride, num_queries);
  load_columns(dy_columns, dy + first_y, y_stride, num_queries);
  float16 dq[BLOCK * VECTORS];
  clear_tile(dq);
  for (uint k0 = 0; k0 <= q0; k0 += BLOCK) {
    const uint num_keys = k0 == q0 ? num_queries : BLOCK;
    uint16 block[BLOCK * PAIRS / 16];
    float16 dp[BLOCK];  // [key], lane query
    load_rows(block, values + k0 * stride, stride, num_keys);
    dot_block(dp, block, dy_columns);
    float16 ds[BLOCK];
    load_rows(block, keys + k0 * stride, stride, num_keys);
    dot_block(ds, block, query_columns);
    for (int j = 0; j < BLOCK; ++j) {
      ds[j] = exp16(ds[j] * scale - saved_lse) * (dp[j] - row_delta);
      if (k0 == q0) ds[j] = select(ds[j], (float16)(0.0f), lane_numbers() < j);
    }
    add_weighted(dq, ds, block);
  }
  for (uint i = 0; i < num_queries; ++i) {
    store_row(dqkv + first_query + i * stride, dq + i * VECTORS, scale);
  }
}

// The key and value columns of dqkv. A work-item owns 16 keys of one key/value head and reads the queries
// from them on, of every query head that uses them, head after head; in P a key is a lane.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void attention_bwd_dkdv_pairs_cpu(global bf16* restrict dqkv,         // [N, (H + 2G) * D]
                                         global const bf16* restrict dy,     // [N, H * D]
                                         global const float* restrict lse,   // [B, H, T]
                                         global const float* restrict delta, // [B, H, T]
                                         global const bf16* restrict qkv,    // [N, (H + 2G) * D]
                                         uint T, uint H, uint G, float scale) {
  const uint k0 = (uint)get_group_id(0) * BLOCK;
  const size_t g = get_group_id(1);
  const size_t b = get_group_id(2);
  const uint num_keys = min((uint)BLOCK, T - k0);
  const size_t stride = ((size_t)H + 2 * (size_t)G) * HEAD_DIM;
  const size_t y_stride = (size_t)H * HEAD_DIM;
  const size_t first_key = (b * T + k0) * stride + (H + g) * HEAD_DIM;
  const size_t first_value = first_key + (size_t)G * HEAD_DIM;

  uint16 key_columns[PAIRS];
  uint16 value_columns[PAIRS];
  load_columns(key_columns, qkv + first_key, stride, num_keys);
  load_columns(value_columns, qkv + first_value, stride, num_keys);
  float16 dk[BLOCK * VECTORS];
  float16 dv[BLOCK * VECTORS];
  clear_tile(dk);
  clear_tile(dv);
  const size_t heads_per_group = H / G;
  for (size_t h = g * heads_per_group; h < (g + 1) * heads_per_group; ++h) {
    for (uint q0 = k0; q0 < T; q0 += BLOCK) {
      // Rows behind T are zeros and add zeros.
      const uint num_queries = min((uint)BLOCK, T - q0);
      const size_t saved = (b * H + h) * T + q0;
      uint16 block[BLOCK * PAIRS / 16];
      float16 p[BLOCK];  // [query], lane key
      load_rows(block, qkv + (b * T + q0) * stride + h * HEAD_DIM, stride, num_queries);
      dot_block(p, block, key_columns);
      for (int i = 0; i < BLOCK; ++i) {
        const float row_lse = i < (int)num_queries ? lse[saved + i] : 0.0f;
        p[i] = exp16(p[i] * scale - row_lse);
        if (q0 == k0) p[i] = select(p[i], (float16)(0.0f), lane_numbers() > i);
      }
      uint16 dy_block[BLOCK * PAIRS / 16];
      float16 ds[BLOCK];
      load_rows(dy_block, dy + (b * T + q0) * y_stride + h * HEAD_DIM, y_stride, num_queries);
      dot_block(ds, dy_block, value_columns);
      add_weighted(dv, p, dy_block);
      for (uint i = 0; i < BLOCK; ++i) {
        const float row_delta = i < num_queries ? delta[saved + i] : 0.0f;
        ds[i] = p[i] * (ds[i] - row_delta);
      }
      add_weighted(dk, ds, block);
    }
  }
  for (uint i = 0; i < num_keys; ++i) {
    store_row(dqkv + first_key + i * stride, dk + i * VECTORS, scale);
    store_row(dqkv + first_value + i * stride, dv + i * VECTORS, 1.0f);
  }
}
