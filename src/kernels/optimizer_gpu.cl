// Parameter updates for GPUs: one work-item an element.
// lint: -DSTORED_BF16=1
// lint: -DSTORED_BF16=1 -DSTOCHASTIC=1
#define REAL float
#define WORDS uint
#define HALVES ushort
#define AS_REAL as_float
#define AS_WORDS as_uint
#define TO_WORDS convert_uint
#define TO_HALVES convert_ushort
#include "common.clh"
#include "stored.clh"
#include "optimizer.clh"
#include "philox.clh"
#include "weights.clh"

typedef struct {
  global stored* w;
  global ushort* rest;
  ulong first;  // the number of the first weight
  uint key0, key1, step;
} Weights;

inline float load_weight(const Weights* weights, size_t i) {
#if defined(STOCHASTIC) || !defined(STORED_BF16)
  return load(weights->w + i);
#else
  return join_weight(weights->w[i], weights->rest[i]);
#endif
}

inline void store_weight(const Weights* weights, size_t i, float v) {
#if defined(STOCHASTIC)
  // Word j of sixteen counters for sixteen neighbours, as optimizer_cpu.cl draws them.
  const ulong number = weights->first + i;
  const uint4 words =
      random_block(number / 64 * 16 + number % 16, weights->key0, weights->key1, weights->step);
  const uint which = (uint)(number / 16 % 4);
  const uint word = which == 0 ? words.x : which == 1 ? words.y : which == 2 ? words.z : words.w;
  weights->w[i] = round_weight(v, word);
#elif defined(STORED_BF16)
  weights->w[i] = upper_of(v);
  weights->rest[i] = rest_of(v);
#else
  store(weights->w + i, v);
#endif
}

__attribute__((reqd_work_group_size(256, 1, 1)))
kernel void adamw_gpu(global stored* restrict w, OPTIONAL global ushort* restrict rest,
                      global float* restrict m, global float* restrict v, global const float* restrict g,
                      global const float* restrict control, ulong size, float beta1, float rest1, float beta2,
                      float rest2, float epsilon, uint decays, ulong first, uint key0, uint key1) {
  const size_t i = get_global_id(0);
  Control all;
  read_control(&all, control, decays);
  if (i >= size || !all.finite) return;
  const AdamW settings = {beta1, rest1, beta2, rest2, epsilon};
  const Weights weights = {w, rest, first, key0, key1, step_of(control)};
  float w1 = load_weight(&weights, i);
  float m1 = m[i];
  float v1 = v[i];
  adamw(&w1, &m1, &v1, g[i], all, settings);
  store_weight(&weights, i, w1);
  m[i] = m1;
  v[i] = v1;
}

__attribute__((reqd_work_group_size(256, 1, 1)))
kernel void lion_gpu(global stored* restrict w, OPTIONAL global ushort* restrict rest,
                     global float* restrict m, global const float* restrict g,
                     global const float* restrict control, ulong size, float beta1, float rest1, float beta2,
                     float rest2, uint decays, ulong first, uint key0, uint key1) {
  const size_t i = get_global_id(0);
  Control all;
  read_control(&all, control, decays);
  if (i >= size || !all.finite) return;
  const Lion settings = {beta1, rest1, beta2, rest2};
  const Weights weights = {w, rest, first, key0, key1, step_of(control)};
  float w1 = load_weight(&weights, i);
  float m1 = m[i];
  lion(&w1, &m1, g[i], all, settings);
  store_weight(&weights, i, w1);
  m[i] = m1;
}

__attribute__((reqd_work_group_size(256, 1, 1)))
kernel void sgd_gpu(global stored* restrict w, OPTIONAL global ushort* restrict rest,
                    global float* restrict m, global const float* restrict g,
                    global const float* restrict control, ulong size, float momentum, uint decays,
                    ulong first, uint key0, uint key1) {
  const size_t i = get_global_id(0);
  Control all;
  read_control(&all, control, decays);
  if (i >= size || !all.finite) return;
  const Weights weights = {w, rest, first, key0, key1, step_of(control)};
  float w1 = load_weight(&weights, i);
  float m1 = m[i];
  sgd(&w1, &m1, g[i], all, momentum);
  store_weight(&weights, i, w1);
  m[i] = m1;
}
