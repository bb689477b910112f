// SwiGLU and GELU for GPUs: one work-item an element.
#define REAL float
#define EXP exp
#include "common.clh"
#include "stored.clh"
#include "activation.clh"

// y = silu(gate) * up. A row takes `chunks` groups of 256 columns.
__attribute__((reqd_work_group_size(256, 1, 1)))
kernel void swiglu_fwd_gpu(global stored* restrict y,              // [N, F]
                           global const stored* restrict gate_up,  // [N, 2F]
                           uint F, uint chunks) {
  const size_t n = get_group_id(0) / chunks;
  const size_t f = get_group_id(0) % chunks * 256 + get_local_id(0);
  if (f >= F) return;
  const size_t gate = n * 2 * F + f;
  store(y + n * F + f, silu(load(gate_up + gate)) * load(gate_up + gate + F));
}

// dgate = dy * up * silu'(gate), dup = dy * silu(gate).
__attribute__((reqd_work_group_size(256, 1, 1)))
kernel void swiglu_bwd_gpu(global stored* restrict dgate_up,       // [N, 2F]
                           global const stored* restrict dy,       // [N, F]
                           global const stored* restrict gate_up,  // [N, 2F]
                           uint F, uint chunks) {
  const size_t n = get_group_id(0) / chunks;
  const size_t f = get_group_id(0) % chunks * 256 + get_local_id(0);
  if (f >= F) return;
  const size_t gate = n * 2 * F + f;
  const float g = load(gate_up + gate);
  const float d = load(dy + n * F + f);
  const Sigmoid q = sigmoid(g);
  store(dgate_up + gate, d * load(gate_up + gate + F) * silu_slope(g, q));
  store(dgate_up + gate + F, d * g * q.s);
}

// y = gelu(x), the erf form where `exact` is not zero.
__attribute__((reqd_work_group_size(256, 1, 1)))
kernel void gelu_fwd_gpu(global stored* restrict y, global const stored* restrict x,  // [size]
                         ulong size, uint exact) {
  const size_t i = get_global_id(0);
  if (i >= size) return;
  const float v = load(x + i);
  store(y + i, exact != 0 ? gelu_erf(v) : gelu_tanh(v));
}

// dx = dy * gelu'(x).
__attribute__((reqd_work_group_size(256, 1, 1)))
kernel void gelu_bwd_gpu(global stored* restrict dx,        // [size]
                         global const stored* restrict dy,  // [size]
                         global const stored* restrict x,   // [size]
                         ulong size, uint exact) {
  const size_t i = get_global_id(0);
  if (i >= size) return;
  const float v = load(x + i);
  store(dx + i, load(dy + i) * (exact != 0 ? gelu_erf_slope(v) : gelu_tanh_slope(v)));
}
