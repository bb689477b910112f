// Causal attention for GPUs, backward. Shapes: qkv and dqkv [N, (H + 2G) * D] as in ops.h, D = HEAD_DIM.
// The formulas and the split in two kernels are those of attention_backward_cpu.cl.
// lint: -DHEAD_DIM=64
// lint: -DHEAD_DIM=20
#include "attention_gpu.clh"

// The query columns of dqkv, and delta for attention_bwd_dkdv_gpu, which runs after it. A work-item owns
// one query of one head; a work-group shares tiles of keys and values.
__attribute__((reqd_work_group_size(GROUP, 1, 1)))
kernel void attention_bwd_dq_gpu(global stored* restrict dqkv,       // [N, (H + 2G) * D]
                                 global float* restrict delta,       // [B, H, T]
                                 global const stored* restrict dy,   // [N, H * D]
                                 global const stored* restrict y,    // [N, H * D]
                                 global const float* restrict lse,   // [B, H, T]
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
  global const stored* keys = qkv + b * T * stride + (H + h / (H / G)) * HEAD_DIM;
  global const stored* values = keys + (size_t)G * HEAD_DIM;
  const size_t query_at = (b * T + query) * stride + h * HEAD_DIM;
  const size_t first_y = ((b * T + query) * H + h) * HEAD_DIM;
  const size_t saved_at = (b * H + h) * T + query;

  float query_row[HEAD_DIM];
  float dy_row[HEAD_DIM];
  float dq[HEAD_DIM];
  float row_delta = 0.0f;
  load_row(query_row, qkv + query_at, scale);
  load_row(dy_row, dy + first_y, 1.0f);
  for (uint d = 0; d < HEAD_DIM; ++d) {
    row_delta = fma(dy_row[d], load(y + first_y + d), row_delta);
    dq[d] = 0.0f;
  }
  const float saved_lse = lse[saved_at];
  for (uint k0 = 0; k0 < end; k0 += TILE) {
    barrier(CLK_LOCAL_MEM_FENCE);
    load_tile(key_tile, keys + k0 * stride, stride, min((uint)TILE, T - k0), 1.0f);
    load_tile(value_tile, values + k0 * stride, stride, min((uint)TILE, T - k0), 1.0f);
    barrier(CLK_LOCAL_MEM_FENCE);
    const uint num_keys = k0 <= query ? min((uint)TILE, query - k0 + 1) : 0;
    for (uint j = 0; j < num_keys; ++j) {
      const float p = exp(dot_tile(query_row, key_tile + j * HEAD_DIM) - saved_lse);
      const float ds = p * (dot_tile(dy_row, value_tile + j * HEAD_DIM) - row_delta);
      add_tile_row(dq, ds, key_tile + j * HEAD_DIM);
    }
  }
  if (q >= T) return;
  store_row(dqkv + query_at, dq, scale);
  delta[saved_at] = row_delta;
}

// The key and value columns of dqkv. A work-item owns one key of one key/value head and takes the queries
// from it on, of every query head that uses it, head after head; a work-group shares tiles of queries and
// of dy. Its four private rows do not fit the registers of most GPUs beyond HEAD_DIM 32.
__attribute__((reqd_work_group_size(GROUP, 1, 1)))
kernel void attention_bwd_dkdv_gpu(global stored* restrict dqkv,        // [N, (H + 2G) * D]
                                   global const stored* restrict dy,    // [N, H * D]
                                   global const float* restrict lse,    // [B, H, T]
                                   global const float* restrict delta,  // [B, H, T]
                                   global const stored* restrict qkv,   // [N, (H + 2G) * D]
                                   uint T, uint H, uint G, float scale) {
  local float query_tile[TILE * HEAD_DIM];
  local float dy_tile[TILE * HEAD_DIM];
  const size_t g = get_group_id(1);
  const size_t b = get_group_id(2);
  const uint k = (uint)get_global_id(0);
  const uint key = min(k, T - 1);
  const size_t stride = ((size_t)H + 2 * (size_t)G) * HEAD_DIM;
  const size_t y_stride = (size_t)H * HEAD_DIM;
  const size_t key_at = (b * T + key) * stride + (H + g) * HEAD_DIM;
  const size_t value_at = key_at + (size_t)G * HEAD_DIM;

  float key_row[HEAD_DIM];
  float value_row[HEAD_DIM];
  float dk[HEAD_DIM];
  float dv[HEAD_DIM];
  load_row(key_row, qkv + key_at, 1.0f);
  load_row(value_row, qkv + value_at, 1.0f);
  for (uint d = 0; d < HEAD_DIM; ++d) {
    dk[d] = 0.0f;
    dv[d] = 0.0f;
  }
  const size_t heads_per_group = H / G;
  for (size_t h = g * heads_per_group; h < (g + 1) * heads_per_group; ++h) {
    const size_t saved = (b * H + h) * T;
    for (uint q0 = (uint)get_group_id(0) * GROUP; q0 < T; q0 += TILE) {
      const uint num_queries = min((uint)TILE, T - q0);
      barrier(CLK_LOCAL_MEM_FENCE);
      load_tile(query_tile, qkv + (b * T + q0) * stride + h * HEAD_DIM, stride, num_queries, scale);
      load_tile(dy_tile, dy + (b * T + q0) * y_stride + h * HEAD_DIM, y_stride, num_queries, 1.0f);
      barrier(CLK_LOCAL_MEM_FENCE);
      for (uint q = max(q0, key); q < q0 + num_queries; ++q) {
        local const float* query_row = query_tile + (q - q0) * HEAD_DIM;
        local const float* dy_row = dy_tile + (q - q0) * HEAD_DIM;
        const float p = exp(dot_tile(key_row, query_row) - lse[saved + q]);
        const float ds = p * (dot_tile(value_row, dy_row) - delta[saved + q]);
        add_tile_row(dv, p, dy_row);
        add_tile_row(dk, ds, query_row);
      }
    }
  }
  if (k >= T) return;
  store_row(dqkv + key_at, dk, 1.0f);
  store_row(dqkv + value_at, dv, 1.0f);
}
