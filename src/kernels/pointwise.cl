// Adding and converting, on CPUs and GPUs alike: one work-item an element; both are bound by memory.
#include "common.clh"
#include "stored.clh"

#define GROUP 256

// y[i] += x[i].
__attribute__((reqd_work_group_size(GROUP, 1, 1)))
kernel void add_into(global stored* restrict y, global const stored* restrict x, ulong size) {
  const size_t i = get_global_id(0);
  if (i < size) store(y + i, load(y + i) + load(x + i));
}

__attribute__((reqd_work_group_size(GROUP, 1, 1)))
kernel void cast_f32_to_f16(global half* restrict y, global const float* restrict x, ulong size) {
  const size_t i = get_global_id(0);
  if (i < size) vstore_half_rte(x[i], i, y);
}

__attribute__((reqd_work_group_size(GROUP, 1, 1)))
kernel void cast_f16_to_f32(global float* restrict y, global const half* restrict x, ulong size) {
  const size_t i = get_global_id(0);
  if (i < size) y[i] = vload_half(i, x);
}

__attribute__((reqd_work_group_size(GROUP, 1, 1)))
kernel void cast_f32_to_bf16(global bf16* restrict y, global const float* restrict x, ulong size) {
  const size_t i = get_global_id(0);
  if (i < size) y[i] = bf16_of_float(x[i]);
}

__attribute__((reqd_work_group_size(GROUP, 1, 1)))
kernel void cast_bf16_to_f32(global float* restrict y, global const bf16* restrict x, ulong size) {
  const size_t i = get_global_id(0);
  if (i < size) y[i] = float_of_bf16(x[i]);
}

// Through float, which holds every f16 and every bf16: one rounding in all.
__attribute__((reqd_work_group_size(GROUP, 1, 1)))
kernel void cast_f16_to_bf16(global bf16* restrict y, global const half* restrict x, ulong size) {
  const size_t i = get_global_id(0);
  if (i < size) y[i] = bf16_of_float(vload_half(i, x));
}

__attribute__((reqd_work_group_size(GROUP, 1, 1)))
kernel void cast_bf16_to_f16(global half* restrict y, global const bf16* restrict x, ulong size) {
  const size_t i = get_global_id(0);
  if (i < size) vstore_half_rte(float_of_bf16(x[i]), i, y);
}
