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

// gate becomes dy * up * silu'(gate), up becomes dy * silu(gate), dy becomes y. One work-item a row.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void swiglu_bwd_cpu(global stored* restrict gate_up,  // [N, 2F]
                           global stored* restrict dy,       // [N, F]
                           uint F) {
  const size_t n = get_group_id(0);
  global stored* gate = gate_up + n * 2 * F;
  global stored* up = gate + F;
  global stored* out = dy + n * F;
  uint f = 0;
  for (; f + 16 <= F; f += 16) {
    const float16 g = load16(gate + f);
    const float16 u = load16(up + f);
    const float16 d = load16(out + f);
    const Sigmoid q = sigmoid(g);
    store16(gate + f, d * u * silu_slope(g, q));
    store16(up + f, d * g * q.s);
    store16(out + f, g * q.s * u);
  }
  if (f == F) return;
  const uint rest = F - f;
  const float16 g = load_part(gate + f, rest);
  const float16 u = load_part(up + f, rest);
  const float16 d = load_part(out + f, rest);
  const Sigmoid q = sigmoid(g);
  store_part(gate + f, d * u * silu_slope(g, q), rest);
  store_part(up + f, d * g * q.s, rest);
  store_part(out + f, g * q.s * u, rest);
}

// y = gelu(x). One work-item takes `block` elements.
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

// x becomes dy * gelu'(x), dy becomes gelu(x). One work-item takes `block` elements.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void gelu_bwd_cpu(global stored* restrict x, global stored* restrict dy,  // [size]
                         ulong size, uint block, uint exact) {
  size_t i = get_group_id(0) * block;
  const size_t end = min(i + block, (size_t)size);
  for (; i + 16 <= end; i += 16) {
    const Gelu both = gelu_both(load16(x + i), exact);
    store16(x + i, load16(dy + i) * both.slope);
    store16(dy + i, both.value);
  }
  if (i == end) return;
  const uint rest = (uint)(end - i);
  const Gelu both = gelu_both(load_part(x + i, rest), exact);
  store_part(x + i, load_part(dy + i, rest) * both.slope, rest);
  store_part(dy + i, both.value, rest);
}
