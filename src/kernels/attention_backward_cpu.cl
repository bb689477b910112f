// Causal attention for CPUs, backward. Shapes: qkv and dqkv [N, (H + 2G) * D] as in ops.h, D = HEAD_DIM.
// With P = exp16(scale * Q K^T - lse) and delta = rowsum(dY * Y): dV = P^T dY, dS = P * (dY V^T - delta),
// dQ = scale * dS K, dK = scale * dS^T Q (Dao et al. 2022). P is computed twice, once per kernel: that is
// 7 products of blocks instead of 5, but each gradient has one owner, so that nothing is added atomically.
// lint: -DHEAD_DIM=64
// lint: -DHEAD_DIM=20
// lint: -DHEAD_DIM=64 -DBF16_PAIRS=1 -DSTORED_BF16=1
#include "attention_block.clh"
#include "stored.clh"
#include "bf16_pairs.clh"
#ifdef BF16_PAIRS
#include "attention_pairs_cpu.clh"
#else
#include "attention_cpu.clh"
#endif

// sum over d of a[d] * b[d], in sixteen lanes, the lanes as a fixed tree, the tail in order.
static inline float dot_row(global const stored* a, global const stored* b) {
  float16 lanes = (float16)(0.0f);
  uint d = 0;
  for (; d + 16 <= HEAD_DIM; d += 16) lanes = fma(load16(a + d), load16(b + d), lanes);
  float total = sum16(lanes);
  for (; d < HEAD_DIM; ++d) total = fma(load(a + d), load(b + d), total);
  return total;
}

// The query columns of dqkv, and delta for attention_bwd_dkdv_cpu, which runs after it. A work-item owns
// 16 queries of one head and reads the keys before them; in P a query is a lane.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void attention_bwd_dq_cpu(global stored* restrict dqkv,       // [N, (H + 2G) * D]
                                 global float* restrict delta,       // [B, H, T]
                                 global const stored* restrict dy,   // [N, H * D]
                                 global const stored* restrict y,    // [N, H * D]
                                 global const float* restrict lse,   // [B, H, T]
                                 global const stored* restrict qkv,  // [N, (H + 2G) * D]
                                 uint T, uint H, uint G, float scale) {
  const uint q0 = (uint)(get_num_groups(0) - 1 - get_group_id(0)) * BLOCK;
  const size_t h = get_group_id(1);
  const size_t b = get_group_id(2);
  const uint num_queries = min((uint)BLOCK, T - q0);
  const size_t stride = ((size_t)H + 2 * (size_t)G) * HEAD_DIM;
  const size_t y_stride = (size_t)H * HEAD_DIM;
  global const stored* keys = qkv + b * T * stride + (H + h / (H / G)) * HEAD_DIM;
  global const stored* values = keys + (size_t)G * HEAD_DIM;
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
  operand query_columns[COLUMNS_SIZE];
  operand dy_columns[COLUMNS_SIZE];
  load_columns(query_columns, qkv + first_query, stride, num_queries);
  load_columns(dy_columns, dy + first_y, y_stride, num_queries);
  float16 dq[BLOCK * VECTORS];
  clear_block(dq);
  for (uint k0 = 0; k0 <= q0; k0 += BLOCK) {
    const uint num_keys = k0 == q0 ? num_queries : BLOCK;
    operand block[ROWS_SIZE];
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
kernel void attention_bwd_dkdv_cpu(global stored* restrict dqkv,        // [N, (H + 2G) * D]
                                   global const stored* restrict dy,    // [N, H * D]
                                   global const float* restrict lse,    // [B, H, T]
                                   global const float* restrict delta,  // [B, H, T]
                                   global const stored* restrict qkv,   // [N, (H + 2G) * D]
                                   uint T, uint H, uint G, float scale) {
  const uint k0 = (uint)get_group_id(0) * BLOCK;
  const size_t g = get_group_id(1);
  const size_t b = get_group_id(2);
  const uint num_keys = min((uint)BLOCK, T - k0);
  const size_t stride = ((size_t)H + 2 * (size_t)G) * HEAD_DIM;
  const size_t y_stride = (size_t)H * HEAD_DIM;
  const size_t first_key = (b * T + k0) * stride + (H + g) * HEAD_DIM;
  const size_t first_value = first_key + (size_t)G * HEAD_DIM;

  operand key_columns[COLUMNS_SIZE];
  operand value_columns[COLUMNS_SIZE];
  load_columns(key_columns, qkv + first_key, stride, num_keys);
  load_columns(value_columns, qkv + first_value, stride, num_keys);
  float16 dk[BLOCK * VECTORS];
  float16 dv[BLOCK * VECTORS];
  clear_block(dk);
  clear_block(dv);
  const size_t heads_per_group = H / G;
  for (size_t h = g * heads_per_group; h < (g + 1) * heads_per_group; ++h) {
    for (uint q0 = k0; q0 < T; q0 += BLOCK) {
      // Rows behind T are zeros and add zeros.
      const uint num_queries = min((uint)BLOCK, T - q0);
      const size_t saved = (b * H + h) * T + q0;
      operand block[ROWS_SIZE];
      float16 p[BLOCK];  // [query], lane key
      load_rows(block, qkv + (b * T + q0) * stride + h * HEAD_DIM, stride, num_queries);
      dot_block(p, block, key_columns);
      for (int i = 0; i < BLOCK; ++i) {
        const float row_lse = i < (int)num_queries ? lse[saved + i] : 0.0f;
        p[i] = exp16(p[i] * scale - row_lse);
        if (q0 == k0) p[i] = select(p[i], (float16)(0.0f), lane_numbers() > i);
      }
      operand dy_block[ROWS_SIZE];
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
