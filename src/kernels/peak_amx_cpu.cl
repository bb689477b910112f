// How many floating-point operations a CPU's AMX can do at most: products of blocks that stay in the nearest cache.
// lint: -DAMX_EMULATED=1
// generate amx:
#include "common.clh"
#include "amx.clh"

#define BLOCK_K 32

// y[i] = the sum of what work-item i came to: rounds * 32 * 32 * BLOCK_K.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void peak_amx_cpu(global float* restrict y, uint rounds) {
  ushort a[32 * BLOCK_K];
  ushort b[32 * BLOCK_K];
  for (uint i = 0; i < 32 * BLOCK_K; ++i) a[i] = b[i] = 0x3f80;  // 1 as bf16
  Amx unit;
  amx_begin(&unit);
  for (uint r = 0; r < rounds; ++r) amx_multiply(&unit, (ulong)a, 2 * BLOCK_K, (ulong)b, 2 * 2 * 32);
  float16 sums[32][2];
  amx_end(&unit, (float*)sums);
  float16 all = (float16)(0.0f);
  for (uint i = 0; i < 32; ++i) all += sums[i][0] + sums[i][1];
  y[get_global_id(0)] = sum16(all);
}
