// SwiGLU and GELU for CPUs: a work-item takes a row or a block of elements, sixteen at a time, because
// scalar exp is four times slower than exp of a float16 there.
#define REAL float16
#define EXP exp16
#include "common.clh"
#include "exp.clh"
#include "stored.clh"
#include "activation.clh"

// The last elements of a row go through the same sixteen lanes, so that an element's bits do not depend
// on where in a row it stands.
inline float16 load_part(global const stored* p, uint count) {
  float lanes[16];
  for (uint i = 0; i < 16; ++i) lanes[i] = i < count ? load(p + i) : 0.0f;
  return vload16(0, lanes);
}

inline void store_part(global stored* p, float16 v, uint count) {
  float lanes[16];
  vstore16(v, 0, lanes);
  for (uint i = 0; i < count; ++i) store(p + i, lanes[i]);
}

// y = silu(gate) * up. One work-item a row.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void swiglu_fwd_cpu(global stored* restrict y,              // [N, F]
                           global const stored* restrict gate_up,  // [N, 2F]
                           uint F) {
  const size_t n = get_group_id(0);
  global const stored* gate = gate_up + n * 2 * F;
  global const stored* up = gate + F;
  global stored* out = y + n * F;
  uint f = 0;
  for (; f + 16 <= F; f += 16) store16(out + f, silu(load16(gate + f)) * load16(up + f));
  if (f == F) return;
  const uint rest = F - f;
  store_part(out + f, silu(load_part(gate + f, rest)) * load_part(up + f, rest), rest);
}

// dgate = dy * up * silu'(gate), dup = dy * silu(gate). One work-item a row.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void swiglu_bwd_cpu(global stored* restrict dgate_up,       // [N, 2F]
                           global const stored* restrict dy,       // [N, F]
                           global const stored* restrict gate_up,  // [N, 2F]
                           uint F) {
  const size_t n = get_group_id(0);
  global const stored* gate = gate_up + n * 2 * F;
  global const stored* up = gate + F;
  global const stored* dout = dy + n * F;
  global stored* dgate = dgate_up + n * 2 * F;
  global stored* dup = dgate + F;
  uint f = 0;
  for (; f + 16 <= F; f += 16) {
    const float16 g = load16(gate + f);
    const float16 d = load16(dout + f);
    const Sigmoid q = sigmoid(g);
    store16(dgate + f, d * load16(up + f) * silu_slope(g, q));
    store16(dup + f, d * g * q.s);
  }
  if (f == F) return;
  const uint rest = F - f;
  const float16 g = load_part(gate + f, rest);
  const float16 d = load_part(dout + f, rest);
  const Sigmoid q = sigmoid(g);
  store_part(dgate + f, d * load_part(up + f, rest) * silu_slope(g, q), rest);
  store_part(dup + f, d * g * q.s, rest);
}

inline float16 gelu(float16 x, uint exact) { return exact != 0 ? gelu_erf(x) : gelu_tanh(x); }
inline float16 gelu_slope(float16 x, uint exact) {
  return exact != 0 ? gelu_erf_slope(x) : gelu_tanh_slope(x);
}

// y = gelu(x), the erf form where `exact` is not zero. One work-item takes `block` elements.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void gelu_fwd_cpu(global stored* restrict y, global const stored* restrict x,  // [size]
                         ulong size, uint block, uint exact) {
  size_t i = get_group_id(0) * block;
  const size_t end = min(i + block, (size_t)size);
  for (; i + 16 <= end; i += 16) store16(y + i, gelu(load16(x + i), exact));
  if (i == end) return;
  const uint rest = (uint)(end - i);
  store_part(y + i, gelu(load_part(x + i, rest), exact), rest);
}

// dx = dy * gelu'(x). One work-item takes `block` elements.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void gelu_bwd_cpu(global stored* restrict dx,        // [size]
                         global const stored* restrict dy,  // [size]
                         global const stored* restrict x,   // [size]
                         ulong size, uint block, uint exact) {
  size_t i = get_group_id(0) * block;
  const size_t end = min(i + block, (size_t)size);
  for (; i + 16 <= end; i += 16) store16(dx + i, load16(dy + i) * gelu_slope(load16(x + i), exact));
  if (i == end) return;
  const uint rest = (uint)(end - i);
  store_part(dx + i, load_part(dy + i, rest) * gelu_slope(load_part(x + i, rest), exact), rest);
}
