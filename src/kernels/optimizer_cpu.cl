// Parameter updates for CPUs: one work-item a block of UPDATE_BLOCK elements, sixteen at a time, the last ones
// in the same sixteen lanes. An element a work-item, as on GPUs, takes twice as long on PoCL: within the
// branch that leaves out the elements beyond the end, it gathers control anew for every vector.
// lint: -DSTORED_BF16=1
// lint: -DSTORED_BF16=1 -DSTOCHASTIC=1
#define REAL float16
#define WORDS uint16
#define HALVES ushort16
#define AS_REAL as_float16
#define AS_WORDS as_uint16
#define TO_WORDS convert_uint16
#define TO_HALVES convert_ushort16
#include "common.clh"
#include "stored.clh"
#include "optimizer.clh"
#include "philox16.clh"
#include "weights.clh"

// optimizer.cpp has the same number.
#define UPDATE_BLOCK 4096

// The first `count` elements at p; zeros beyond.
inline float16 load_some(global const float* p, uint count) {
  if (count >= 16) return LOAD16(p);
  float lanes[16];
  for (uint i = 0; i < 16; ++i) lanes[i] = i < count ? p[i] : 0.0f;
  return vload16(0, lanes);
}

inline void store_some(global float* p, float16 v, uint count) {
  if (count >= 16) {
    STORE16(p, v);
    return;
  }
  float lanes[16];
  vstore16(v, 0, lanes);
  for (uint i = 0; i < count; ++i) p[i] = lanes[i];
}

#ifdef STORED_BF16
inline ushort16 load_halves(global const ushort* p, uint count) {
  if (count >= 16) return *(global const ushort16_u*)p;
  ushort lanes[16];
  for (uint i = 0; i < 16; ++i) lanes[i] = i < count ? p[i] : 0;
  return vload16(0, lanes);
}

inline void store_halves(global ushort* p, ushort16 v, uint count) {
  if (count >= 16) {
    *(global ushort16_u*)p = v;
    return;
  }
  ushort lanes[16];
  vstore16(v, 0, lanes);
  for (uint i = 0; i < count; ++i) p[i] = lanes[i];
}
#endif

typedef struct {
  global stored* w;
  global ushort* rest;
  ulong first;  // the number of the first weight
  uint key0, key1, step;
  uint16 draws[4];  // for 64 weights: words that decide how they are rounded
} Weights;

#ifdef STOCHASTIC
INLINE void draw(Weights* weights, size_t i) {
  if (i % 64 != 0) return;
  const ulong counter = (weights->first + i) / 4;
  const uint16 lanes = (uint16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  weights->draws[0] = (uint)counter + lanes;
  weights->draws[1] = (uint16)((uint)(counter >> 32));
  weights->draws[2] = (uint16)(weights->step);
  weights->draws[3] = (uint16)(0);
  philox16(weights->draws, weights->key0, weights->key1);
}
#define DRAW(weights, i) draw(weights, i)
#else
#define DRAW(weights, i)
#endif

INLINE float16 load_weights(const Weights* weights, size_t i, uint count) {
#if defined(STOCHASTIC)
  return float16_of_bf16(load_halves(weights->w + i, count));
#elif defined(STORED_BF16)
  return join_weight(load_halves(weights->w + i, count), load_halves(weights->rest + i, count));
#else
  if (count >= 16) return load16(weights->w + i);
  float lanes[16];
  for (uint j = 0; j < 16; ++j) lanes[j] = j < count ? load(weights->w + i + j) : 0.0f;
  return vload16(0, lanes);
#endif
}

INLINE void store_weights(const Weights* weights, size_t i, float16 v, uint count) {
#if defined(STOCHASTIC)
  store_halves(weights->w + i, round_weight(v, weights->draws[i / 16 % 4]), count);
#elif defined(STORED_BF16)
  store_halves(weights->w + i, upper_of(v), count);
  store_halves(weights->rest + i, rest_of(v), count);
#else
  if (count >= 16) {
    store16(weights->w + i, v);
    return;
  }
  float lanes[16];
  vstore16(v, 0, lanes);
  for (uint j = 0; j < count; ++j) store(weights->w + i + j, lanes[j]);
#endif
}

// Where the elements of this work-item end.
inline size_t end_of_block(size_t begin, ulong size) { return min((ulong)(begin + UPDATE_BLOCK), size); }

__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void adamw_cpu(global stored* restrict w, OPTIONAL global ushort* restrict rest,
                      global float* restrict m, global float* restrict v, global const float* restrict g,
                      global const float* restrict control, ulong size, float beta1, float rest1, float beta2,
                      float rest2, float epsilon, uint decays, ulong first, uint key0, uint key1) {
  Control all;
  read_control(&all, control, decays);
  if (!all.finite) return;
  const AdamW settings = {beta1, rest1, beta2, rest2, epsilon};
  const size_t begin = get_group_id(0) * UPDATE_BLOCK;
  const size_t end = end_of_block(begin, size);
  Weights weights = {
      .w = w, .rest = rest, .first = first, .key0 = key0, .key1 = key1, .step = step_of(control)};
  for (size_t i = begin; i < end; i += 16) {
    DRAW(&weights, i);
    const uint count = (uint)min((size_t)16, end - i);
    float16 w1 = load_weights(&weights, i, count);
    float16 m1 = load_some(m + i, count);
    float16 v1 = load_some(v + i, count);
    adamw(&w1, &m1, &v1, load_some(g + i, count), all, settings);
    store_weights(&weights, i, w1, count);
    store_some(m + i, m1, count);
    store_some(v + i, v1, count);
  }
}

__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void lion_cpu(global stored* restrict w, OPTIONAL global ushort* restrict rest,
                     global float* restrict m, global const float* restrict g,
                     global const float* restrict control, ulong size, float beta1, float rest1, float beta2,
                     float rest2, uint decays, ulong first, uint key0, uint key1) {
  Control all;
  read_control(&all, control, decays);
  if (!all.finite) return;
  const Lion settings = {beta1, rest1, beta2, rest2};
  const size_t begin = get_group_id(0) * UPDATE_BLOCK;
  const size_t end = end_of_block(begin, size);
  Weights weights = {
      .w = w, .rest = rest, .first = first, .key0 = key0, .key1 = key1, .step = step_of(control)};
  for (size_t i = begin; i < end; i += 16) {
    DRAW(&weights, i);
    const uint count = (uint)min((size_t)16, end - i);
    float16 w1 = load_weights(&weights, i, count);
    float16 m1 = load_some(m + i, count);
    lion(&w1, &m1, load_some(g + i, count), all, settings);
    store_weights(&weights, i, w1, count);
    store_some(m + i, m1, count);
  }
}

__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void sgd_cpu(global stored* restrict w, OPTIONAL global ushort* restrict rest,
                    global float* restrict m, global const float* restrict g,
                    global const float* restrict control, ulong size, float momentum, uint decays,
                    ulong first, uint key0, uint key1) {
  Control all;
  read_control(&all, control, decays);
  if (!all.finite) return;
  const size_t begin = get_group_id(0) * UPDATE_BLOCK;
  const size_t end = end_of_block(begin, size);
  Weights weights = {
      .w = w, .rest = rest, .first = first, .key0 = key0, .key1 = key1, .step = step_of(control)};
  for (size_t i = begin; i < end; i += 16) {
    DRAW(&weights, i);
    const uint count = (uint)min((size_t)16, end - i);
    float16 w1 = load_weights(&weights, i, count);
    float16 m1 = load_some(m + i, count);
    sgd(&w1, &m1, load_some(g + i, count), all, momentum);
    store_weights(&weights, i, w1, count);
    store_some(m + i, m1, count);
  }
}
