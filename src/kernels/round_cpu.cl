// Rounding of sums that were kept in float, for CPUs.
#include "common.clh"
#include "stored.clh"

// c[n] = sums[n], or c[n] + sums[n], rounded once: for products whose sums were kept in float. One work-item
// a row. c, sums: [M, N].
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void round_rows_cpu(global stored_c* restrict c, global const float* restrict sums, uint N,
                           uint accumulate) {
  global stored_c* out = c + get_group_id(0) * N;
  global const float* in = sums + get_group_id(0) * N;
  uint j = 0;
  for (; j + 16 <= N; j += 16) {
    const float16 v = LOAD16(in + j);
    store_c16(out + j, accumulate ? load_c16(out + j) + v : v);
  }
  for (; j < N; ++j) store_c(out + j, accumulate ? load_c(out + j) + in[j] : in[j]);
}
