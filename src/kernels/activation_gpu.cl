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

// gate becomes dy * up * silu'(gate), up becomes dy * silu(gate), dy becomes y.
__attribute__((reqd_work_group_size(256, 1, 1)))
kernel void swiglu_bwd_gpu(global stored* restrict gate_up,  // [N, 2F]
                           global stored* restrict dy,       // [N, F]
                           uint F, uint chunks) {
  const size_t n = get_group_id(0) / chunks;
  const size_t f = get_group_id(0) % chunks * 256 + get_local_id(0);
  if (f >= F) return;
  const size_t gate = n * 2 * F + f;
  const float g = load(gate_up + gate);
  const float u = load(gate_up + gate + F);
  const float d = load(dy + n * F + f);
  const Sigmoid q = sigmoid(g);
  store(gate_up + gate, d * u * silu_slope(g, q));
  store(gate_up + gate + F, d * g * q.s);
  store(dy + n * F + f, g * q.s * u);
}

// y = gelu(x).
__attribute__((reqd_work_group_size(256, 1, 1)))
kernel void gelu_fwd_gpu(global stored* restrict y, global const stored* restrict x,  // [size]
                         ulong size, uint exact) {
  const size_t i = get_global_id(0);
  if (i >= size) return;
  store(y + i, gelu(load(x + i), exact));
}

// x becomes dy * gelu'(x), dy becomes gelu(x).
__attribute__((reqd_work_group_size(256, 1, 1)))
kernel void gelu_bwd_gpu(global stored* restrict x, global stored* restrict dy,  // [size]
                         ulong size, uint exact) {
  const size_t i = get_global_id(0);
  if (i >= size) return;
  const Gelu both = gelu_both(load(x + i), exact);
  store(x + i, load(dy + i) * both.slope);
  store(dy + i, both.value);
}
