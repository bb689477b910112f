// Parameter updates: one work-item an element, on CPUs and GPUs alike (memory bound on both).
//
// Each kernel reads control on the device (op::UpdateControl). The factor scales the gradient; when
// gradients were not finite, nothing is written at all. `keep` is 1 - learning_rate * weight_decay where the
// parameter decays: decay is decoupled, it does not pass through m and v.
#include "common.clh"

#define FACTOR control[0]
#define NUM_NON_FINITE control[2]
#define RATE control[3]
#define ROOT control[4]
#define KEEP (decays ? control[5] : 1.0f)

// True where this work-item has an element to update.
inline bool updates(size_t i, ulong size, global const float* control) {
  return i < size && NUM_NON_FINITE == 0.0f;
}

// AdamW (Loshchilov and Hutter 2019), with g scaled by the factor:
//   m = beta1 m + (1 - beta1) g,  v = beta2 v + (1 - beta2) g^2
//   w = keep w - rate m / (sqrt(v) root + epsilon)
// rate = learning_rate / (1 - beta1^step) and root = 1 / sqrt(1 - beta2^step) correct the bias of m and v;
// rest1 and rest2 are 1 - beta1 and 1 - beta2.
__attribute__((reqd_work_group_size(256, 1, 1)))
kernel void adamw_update(global float* restrict w, global float* restrict m, global float* restrict v,
                         global const float* restrict g, global const float* restrict control,
                         ulong size, float beta1, float rest1, float beta2, float rest2, float epsilon,
                         uint decays) {
  const size_t i = get_global_id(0);
  if (!updates(i, size, control)) return;
  const float d = FACTOR * g[i];
  const float m1 = fma(beta1, m[i], rest1 * d);
  const float v1 = fma(beta2, v[i], rest2 * d * d);
  m[i] = m1;
  v[i] = v1;
  w[i] = fma(KEEP, w[i], -RATE * (m1 / fma(sqrt(v1), ROOT, epsilon)));
}

// Lion (Chen et al. 2023), with g scaled by the factor:
//   w = keep w - rate sign(beta1 m + (1 - beta1) g),  m = beta2 m + (1 - beta2) g
__attribute__((reqd_work_group_size(256, 1, 1)))
kernel void lion_update(global float* restrict w, global float* restrict m,
                        global const float* restrict g, global const float* restrict control,
                        ulong size, float beta1, float rest1, float beta2, float rest2, uint decays) {
  const size_t i = get_global_id(0);
  if (!updates(i, size, control)) return;
  const float d = FACTOR * g[i];
  const float m0 = m[i];
  w[i] = fma(KEEP, w[i], -RATE * sign(fma(beta1, m0, rest1 * d)));
  m[i] = fma(beta2, m0, rest2 * d);
}

// SGD with momentum, with g scaled by the factor: m = momentum m + g,  w = keep w - rate m
__attribute__((reqd_work_group_size(256, 1, 1)))
kernel void sgd_update(global float* restrict w, global float* restrict m,
                       global const float* restrict g, global const float* restrict control,
                       ulong size, float momentum, uint decays) {
  const size_t i = get_global_id(0);
  if (!updates(i, size, control)) return;
  const float m1 = fma(momentum, m[i], FACTOR * g[i]);
  m[i] = m1;
  w[i] = fma(KEEP, w[i], -RATE * m1);
}
