// The second stage of sums over rows, on GPUs: one work-item a column adds the blocks' partial sums in the
// order of the blocks. A small part of the work of the first stage.
#include "common.clh"

// out[c] += sum over blocks of partial[block * stride + offset + c].
__attribute__((reqd_work_group_size(64, 1, 1)))
kernel void partials_add_gpu(global float* restrict out,            // [C]
                             global const float* restrict partial,  // [blocks, stride]
                             uint blocks, uint C, ulong stride, ulong offset) {
  const size_t c = get_global_id(0);
  if (c >= C) return;
  float total = 0.0f;
  for (uint block = 0; block < blocks; ++block) total += partial[block * stride + offset + c];
  out[c] += total;
}
