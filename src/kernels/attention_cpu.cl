// Causal attention for CPUs, forward. Shapes: qkv [N, (H + 2G) * D] as in ops.h, D = HEAD_DIM.
// lint: -DHEAD_DIM=64
// lint: -DHEAD_DIM=20
// lint: -DHEAD_DIM=64 -DBF16_PAIRS=1 -DSTORED_BF16=1
#include "attention_block.clh"
#include "stored.clh"
#include "bf16_pairs.clh"
#include "attention_products_cpu.clh"

// packed: [B, G, blocks of 16 positions, 2, BLOCK_SIZE], the keys of a block and then its values.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void attention_fwd_pack_cpu(global float* restrict packed, global const stored* restrict qkv,
                                   uint T, uint H, uint G) {
  const uint block = get_group_id(0);
  const size_t g = get_group_id(1);
  const size_t b = get_group_id(2);
  const uint count = min((uint)BLOCK, T - block * BLOCK);
  const size_t stride = ((size_t)H + 2 * (size_t)G) * HEAD_DIM;
  global const stored* keys = qkv + (b * T + block * BLOCK) * stride + (H + g) * HEAD_DIM;
  global float* to = packed + ((b * G + g) * get_num_groups(0) + block) * 2 * BLOCK_SIZE;
  pack_block(to, keys, stride, count);
  pack_block(to + BLOCK_SIZE, keys + (size_t)G * HEAD_DIM, stride, count);
}

// y = softmax(scale * Q K^T, causal) V, by blocks of 16 keys with a running maximum and sum (Dao et al.
// 2022). A work-item owns 16 queries of one head; in the logits a query is a lane, so that maximum, sum
// and exponentials of 16 queries are plain vector operations. The longest blocks are started first.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void attention_fwd_cpu(global stored* restrict y,          // [N, H * D]
                              global float* restrict lse,         // [B, H, T]
                              global const stored* restrict qkv,  // [N, (H + 2G) * D]
                              global const float* restrict packed,
                              uint T, uint H, uint G, float scale) {
  const uint q0 = (uint)(get_num_groups(0) - 1 - get_group_id(0)) * BLOCK;
  const size_t h = get_group_id(1);
  const size_t b = get_group_id(2);
  const uint num_queries = min((uint)BLOCK, T - q0);
  const size_t stride = ((size_t)H + 2 * (size_t)G) * HEAD_DIM;
  global const float* block = packed + (b * G + h / (H / G)) * get_num_groups(0) * 2 * BLOCK_SIZE;

  operand query_columns[COLUMNS];
  load_columns(query_columns, qkv + (b * T + q0) * stride + h * HEAD_DIM, stride, num_queries);
  float16 out[BLOCK * VECTORS];
  clear_block(out);
  float16 maximum = (float16)(MASKED);
  float16 total = (float16)(0.0f);
  for (uint k0 = 0; k0 <= q0; k0 += BLOCK) {
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
    add_by_lane(out, p, block + BLOCK_SIZE);
    block += 2 * BLOCK_SIZE;
  }

  const float16 inverse = 1.0f / total;
  const float16 log_total = maximum + log(total);
  for (uint i = 0; i < num_queries; ++i) {
    global stored* row = y + ((b * T + q0 + i) * H + h) * HEAD_DIM;
    store_row(row, out + i * VECTORS, ((private const float*)&inverse)[i]);
    lse[(b * H + h) * T + q0 + i] = ((private const float*)&log_total)[i];
  }
}
