// The epilogue of a product whose provider could not add a bias.
#include "common.clh"

// c[m, n] += bias[n]. One work-item an element of c, 256 a group.
kernel void bias_add_gpu(global float* restrict c, global const float* restrict bias, ulong size, uint N) {
  const size_t i = get_global_id(0);
  if (i < size) c[i] += bias[i % N];
}
