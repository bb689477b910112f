// Parameter updates for GPUs: one work-item an element.
#define REAL float
#include "common.clh"
#include "optimizer.clh"

__attribute__((reqd_work_group_size(256, 1, 1)))
kernel void adamw_gpu(global float* restrict w, global float* restrict m, global float* restrict v,
                      global const float* restrict g, global const float* restrict control,
                      ulong size, float beta1, float rest1, float beta2, float rest2, float epsilon,
                      uint decays) {
  const size_t i = get_global_id(0);
  Control all;
  read_control(&all, control, decays);
  if (i >= size || !all.finite) return;
  const AdamW settings = {beta1, rest1, beta2, rest2, epsilon};
  float w1 = w[i];
  float m1 = m[i];
  float v1 = v[i];
  adamw(&w1, &m1, &v1, g[i], all, settings);
  w[i] = w1;
  m[i] = m1;
  v[i] = v1;
}

__attribute__((reqd_work_group_size(256, 1, 1)))
kernel void lion_gpu(global float* restrict w, global float* restrict m, global const float* restrict g,
                     global const float* restrict control, ulong size, float beta1, float rest1,
                     float beta2, float rest2, uint decays) {
  const size_t i = get_global_id(0);
  Control all;
  read_control(&all, control, decays);
  if (i >= size || !all.finite) return;
  const Lion settings = {beta1, rest1, beta2, rest2};
  float w1 = w[i];
  float m1 = m[i];
  lion(&w1, &m1, g[i], all, settings);
  w[i] = w1;
  m[i] = m1;
}

__attribute__((reqd_work_group_size(256, 1, 1)))
kernel void sgd_gpu(global float* restrict w, global float* restrict m, global const float* restrict g,
                    global const float* restrict control, ulong size, float momentum, uint decays) {
  const size_t i = get_global_id(0);
  Control all;
  read_control(&all, control, decays);
  if (i >= size || !all.finite) return;
  float w1 = w[i];
  float m1 = m[i];
  sgd(&w1, &m1, g[i], all, momentum);
  w[i] = w1;
  m[i] = m1;
}
