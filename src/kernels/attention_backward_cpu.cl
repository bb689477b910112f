// Causal attention for CPUs, backward. Shapes: qkv and dqkv [N, (H + 2G) * D] as in ops.h, D = HEAD_DIM.
// With P = exp16(scale * Q K^T - lse) and delta = rowsum(dY * Y): dV = P^T dY, dS = P * (dY V^T - delta),
// dQ = scale * dS K, dK = scale * dS^T Q (Dao et al. 2022), five products of blocks. The keys are in spans; each
// owns its rows of dK and dV, and adds its part of dQ to memory of its own, so that nothing is added atomically. Spans
// depend on T alone, and so do the results.
// lint: -DHEAD_DIM=64 -DCHUNK=16
// lint: -DHEAD_DIM=20 -DCHUNK=16
// lint: -DHEAD_DIM=64 -DCHUNK=16 -DBF16_PAIRS=1 -DSTORED_BF16=1
#define PACKED local
#include "attention_block.clh"
#include "stored.clh"
#include "bf16_pairs.clh"
#include "attention_products_cpu.clh"

// sum over d of a[d] * b[d], in sixteen lanes, the lanes as a fixed tree, the tail in order.
static inline float dot_row(global const stored* a, global const stored* b) {
  float16 lanes = (float16)(0.0f);
  uint d = 0;
  for (; d + 16 <= HEAD_DIM; d += 16) lanes = fma(load16(a + d), load16(b + d), lanes);
  float total = sum16(lanes);
  for (; d < HEAD_DIM; ++d) total = fma(load(a + d), load(b + d), total);
  return total;
}

// delta[b, h, t] = sum over d of dy * y. A work-item has 16 positions of one head.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void attention_bwd_delta_cpu(global float* restrict delta,      // [B, H, T]
                                    global const stored* restrict dy,  // [N, H * D]
                                    global const stored* restrict y,   // [N, H * D]
                                    uint T, uint H) {
  const uint t0 = (uint)get_group_id(0) * BLOCK;
  const size_t h = get_group_id(1);
  const size_t b = get_group_id(2);
  for (uint t = t0; t < min(t0 + BLOCK, T); ++t) {
    const size_t row = ((b * T + t) * H + h) * HEAD_DIM;
    delta[(b * H + h) * T + t] = dot_row(dy + row, y + row);
  }
}

// Blocks of queries that the first `spans` spans of one head reach, and as many blocks of dq_parts do they have. A
// span reaches its own keys' positions and those after them.
static inline uint blocks_reached(uint spans, uint blocks_in_span, uint T) {
  const uint blocks = (T + BLOCK - 1) / BLOCK;
  return spans * blocks - blocks_in_span * (spans * (spans - 1) / 2);
}

inline void load_tile(private float16* tile, global const float* from) {
  for (uint i = 0; i < BLOCK * VECTORS; ++i) tile[i] = LOAD16(from + 16 * i);
}

inline void store_tile(global float* to, private const float16* tile) {
  for (uint i = 0; i < BLOCK * VECTORS; ++i) STORE16(to + 16 * i, tile[i]);
}

// The key and value columns of dqkv, and each span's part of dQ. A work-item owns a span of keys of one key/value
// head. Of every query head that uses them, head after head, it packs CHUNK blocks of queries and of dy, in local
// memory, and takes with them 16 keys after the others; in P a key is a lane. What a block of keys has come to waits in
// `sums` for the next chunk.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void attention_bwd_cpu(global stored* restrict dqkv,        // [N, (H + 2G) * D]
                              global float* restrict dq_parts,     // [B, H, blocks_reached(S), BLOCK_SIZE]
                              global float* restrict sums,         // [B, G, blocks, 2, BLOCK_SIZE], to work with
                              global const stored* restrict dy,    // [N, H * D]
                              global const float* restrict lse,    // [B, H, T]
                              global const float* restrict delta,  // [B, H, T]
                              global const stored* restrict qkv,   // [N, (H + 2G) * D]
                              uint T, uint H, uint G, float scale, uint blocks_in_span) {
  local float packed[(2 * CHUNK + 1) * BLOCK_SIZE] __attribute__((aligned(64)));
  local float* key_block = packed + 2 * CHUNK * BLOCK_SIZE;
  const uint span = get_group_id(0);
  const uint num_spans = get_num_groups(0);
  const size_t g = get_group_id(1);
  const size_t b = get_group_id(2);
  const size_t stride = ((size_t)H + 2 * (size_t)G) * HEAD_DIM;
  const size_t y_stride = (size_t)H * HEAD_DIM;
  const size_t first_head = g * (H / G);
  const size_t end_head = first_head + H / G;
  const size_t blocks_of_head = blocks_reached(num_spans, blocks_in_span, T);
  const uint first_position = span * blocks_in_span * BLOCK;
  const uint end = min(first_position + blocks_in_span * BLOCK, T);
  const uint blocks = (T + BLOCK - 1) / BLOCK;

  for (size_t h = first_head; h < end_head; ++h) {
    global float* first_dq = dq_parts + ((b * H + h) * blocks_of_head + blocks_reached(span, blocks_in_span, T)) *
                                            BLOCK_SIZE;
    for (uint chunk = first_position; chunk < T; chunk += CHUNK * BLOCK) {
      const uint chunk_end = min(chunk + CHUNK * BLOCK, T);
      // Rows behind T are zeros and add zeros.
      for (uint q0 = chunk; q0 < chunk_end; q0 += BLOCK) {
        const uint num_queries = min((uint)BLOCK, T - q0);
        local float* query_block = packed + (q0 - chunk) / BLOCK * 2 * BLOCK_SIZE;
        pack_block(query_block, qkv + (b * T + q0) * stride + h * HEAD_DIM, stride, num_queries);
        pack_block(query_block + BLOCK_SIZE, dy + (b * T + q0) * y_stride + h * HEAD_DIM, y_stride, num_queries);
      }
      for (uint k0 = first_position; k0 < min(end, chunk_end); k0 += BLOCK) {
        const uint num_keys = min((uint)BLOCK, T - k0);
        const size_t first_key = (b * T + k0) * stride + (H + g) * HEAD_DIM;
        const size_t first_value = first_key + (size_t)G * HEAD_DIM;
        global float* sum = sums + ((b * G + g) * blocks + k0 / BLOCK) * 2 * BLOCK_SIZE;
        pack_block(key_block, qkv + first_key, stride, num_keys);
        operand key_columns[COLUMNS];
        operand value_columns[COLUMNS];
        load_columns(key_columns, qkv + first_key, stride, num_keys);
        load_columns(value_columns, qkv + first_value, stride, num_keys);
        float16 dk[BLOCK * VECTORS];
        float16 dv[BLOCK * VECTORS];
        if (h == first_head && chunk <= k0) {
          clear_block(dk);
          clear_block(dv);
        } else {
          load_tile(dk, sum);
          load_tile(dv, sum + BLOCK_SIZE);
        }
        for (uint q0 = max(k0, chunk); q0 < chunk_end; q0 += BLOCK) {
          const uint num_queries = min((uint)BLOCK, T - q0);
          const size_t saved = (b * H + h) * T + q0;
          local const float* query_block = packed + (q0 - chunk) / BLOCK * 2 * BLOCK_SIZE;
          local const float* dy_block = query_block + BLOCK_SIZE;
          float16 p[BLOCK];  // [query], lane key
          dot_block(p, query_block, key_columns);
          for (int i = 0; i < BLOCK; ++i) {
            const float row_lse = i < (int)num_queries ? lse[saved + i] : 0.0f;
            p[i] = exp16(p[i] * scale - row_lse);
            if (q0 == k0) p[i] = select(p[i], (float16)(0.0f), lane_numbers() > i);
          }
          float16 ds[BLOCK];
          dot_block(ds, dy_block, value_columns);
          add_by_lane(dv, p, dy_block);
          for (uint i = 0; i < BLOCK; ++i) {
            const float row_delta = i < num_queries ? delta[saved + i] : 0.0f;
            ds[i] = p[i] * (ds[i] - row_delta);
          }
          add_by_lane(dk, ds, query_block);
          add_by_row(first_dq + (size_t)(q0 - first_position) / BLOCK * BLOCK_SIZE, ds, key_block,
                     k0 == first_position);
        }
        if (h + 1 < end_head || chunk_end < T) {
          store_tile(sum, dk);
          store_tile(sum + BLOCK_SIZE, dv);
          continue;
        }
        for (uint i = 0; i < num_keys; ++i) {
          store_row(dqkv + first_key + i * stride, dk + i * VECTORS, scale);
          store_row(dqkv + first_value + i * stride, dv + i * VECTORS, 1.0f);
        }
      }
    }
  }
}

// The query columns of dqkv: the sum of their parts, span after span. A work-item owns 16 queries of one head.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void attention_bwd_dq_cpu(global stored* restrict dqkv,           // [N, (H + 2G) * D]
                                 global const float* restrict dq_parts,  // as above
                                 uint T, uint H, uint G, float scale, uint blocks_in_span) {
  const uint block = get_group_id(0);
  const size_t h = get_group_id(1);
  const size_t b = get_group_id(2);
  const uint num_blocks = get_num_groups(0);
  const uint num_spans = (num_blocks + blocks_in_span - 1) / blocks_in_span;
  const uint num_queries = min((uint)BLOCK, T - block * BLOCK);
  const size_t stride = ((size_t)H + 2 * (size_t)G) * HEAD_DIM;
  const size_t first_query = (b * T + block * BLOCK) * stride + h * HEAD_DIM;
  global const float* parts =
      dq_parts + (b * H + h) * blocks_reached(num_spans, blocks_in_span, T) * BLOCK_SIZE;
  for (uint i = 0; i < num_queries; ++i) {
    float16 sum[VECTORS];
    for (uint v = 0; v < VECTORS; ++v) sum[v] = (float16)(0.0f);
    for (uint span = 0; span * blocks_in_span <= block; ++span) {
      const size_t part = blocks_reached(span, blocks_in_span, T) + block - span * blocks_in_span;
      for (uint v = 0; v < VECTORS; ++v) sum[v] += LOAD16(parts + (part * BLOCK + i) * PADDED + 16 * v);
    }
    store_row(dqkv + first_query + i * stride, sum, scale);
  }
}
