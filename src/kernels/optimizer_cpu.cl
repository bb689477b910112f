// Parameter updates for CPUs: one work-item a block of UPDATE_BLOCK elements, sixteen at a time, the last ones
// in the same sixteen lanes. An element a work-item, as on GPUs, takes twice as long on PoCL: within the
// branch that leaves out the elements beyond the end, it gathers control anew for every vector.
#define REAL float16
#include "common.clh"
#include "optimizer.clh"

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

// Where the elements of this work-item end.
inline size_t end_of_block(size_t begin, ulong size) { return min((ulong)(begin + UPDATE_BLOCK), size); }

__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void adamw_cpu(global float* restrict w, global float* restrict m, global float* restrict v,
                      global const float* restrict g, global const float* restrict control,
                      ulong size, float beta1, float rest1, float beta2, float rest2, float epsilon,
                      uint decays) {
  Control all;
  read_control(&all, control, decays);
  if (!all.finite) return;
  const AdamW settings = {beta1, rest1, beta2, rest2, epsilon};
  const size_t begin = get_group_id(0) * UPDATE_BLOCK;
  const size_t end = end_of_block(begin, size);
  for (size_t i = begin; i < end; i += 16) {
    const uint count = (uint)min((size_t)16, end - i);
    float16 w1 = load_some(w + i, count);
    float16 m1 = load_some(m + i, count);
    float16 v1 = load_some(v + i, count);
    adamw(&w1, &m1, &v1, load_some(g + i, count), all, settings);
    store_some(w + i, w1, count);
    store_some(m + i, m1, count);
    store_some(v + i, v1, count);
  }
}

__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void lion_cpu(global float* restrict w, global float* restrict m, global const float* restrict g,
                     global const float* restrict control, ulong size, float beta1, float rest1,
                     float beta2, float rest2, uint decays) {
  Control all;
  read_control(&all, control, decays);
  if (!all.finite) return;
  const Lion settings = {beta1, rest1, beta2, rest2};
  const size_t begin = get_group_id(0) * UPDATE_BLOCK;
  const size_t end = end_of_block(begin, size);
  for (size_t i = begin; i < end; i += 16) {
    const uint count = (uint)min((size_t)16, end - i);
    float16 w1 = load_some(w + i, count);
    float16 m1 = load_some(m + i, count);
    lion(&w1, &m1, load_some(g + i, count), all, settings);
    store_some(w + i, w1, count);
    store_some(m + i, m1, count);
  }
}

__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void sgd_cpu(global float* restrict w, global float* restrict m, global const float* restrict g,
                    global const float* restrict control, ulong size, float momentum, uint decays) {
  Control all;
  read_control(&all, control, decays);
  if (!all.finite) return;
  const size_t begin = get_group_id(0) * UPDATE_BLOCK;
  const size_t end = end_of_block(begin, size);
  for (size_t i = begin; i < end; i += 16) {
    const uint count = (uint)min((size_t)16, end - i);
    float16 w1 = load_some(w + i, count);
    float16 m1 = load_some(m + i, count);
    sgd(&w1, &m1, load_some(g + i, count), all, momentum);
    store_some(w + i, w1, count);
    store_some(m + i, m1, count);
  }
}
