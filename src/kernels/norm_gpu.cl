// RMSNorm and LayerNorm for GPUs. Forward and dx: one work-group a row, each work-item every GROUP-th
// column, row sums as a fixed tree. dw and db: one work-item a column of a block of rows; partials_gpu.cl adds
// the blocks up.
#define GROUP 128
#include "common.clh"
#include "stored.clh"
#include "group_sum.clh"
#include "norm.clh"

// y[n,c] = x[n,c] * rstd[n] * w[c], rstd = 1/sqrt(mean_c(x^2) + eps).
__attribute__((reqd_work_group_size(GROUP, 1, 1)))
kernel void rms_norm_fwd_gpu(global stored* restrict y,        // [N, C]
                             global float* restrict rstd,      // [N]
                             global const stored* restrict x,  // [N, C]
                             global const float* restrict w,   // [C]
                             uint C, float eps) {
  local float lanes[GROUP];
  const size_t n = get_group_id(0);
  const uint i = (uint)get_local_id(0);
  global const stored* row = x + n * C;
  float total = 0.0f;
  for (uint c = i; c < C; c += GROUP) total = fma(load(row + c), load(row + c), total);
  const float r = 1.0f / sqrt(group_sum(lanes, total) / (float)C + eps);
  if (i == 0) rstd[n] = r;
  for (uint c = i; c < C; c += GROUP) store(y + n * C + c, load(row + c) * r * w[c]);
}

// dx = rstd (g - xhat mean(g xhat)) per row, with xhat = x rstd and g = dy w; added when `accumulate`. dy becomes
// y.
__attribute__((reqd_work_group_size(GROUP, 1, 1)))
kernel void rms_norm_bwd_dx_gpu(global stored* restrict dx,         // [N, C]
                                global stored* restrict dy,         // [N, C]
                                global const stored* restrict x,    // [N, C]
                                global const float* restrict w,     // [C]
                                global const float* restrict rstd,  // [N]
                                uint C, uint accumulate) {
  local float lanes[GROUP];
  const size_t n = get_group_id(0);
  const uint i = (uint)get_local_id(0);
  global stored* dy_row = dy + n * C;
  global const stored* x_row = x + n * C;
  global stored* dx_row = dx + n * C;
  const float r = rstd[n];
  float total = 0.0f;
  for (uint c = i; c < C; c += GROUP) total = fma(load(dy_row + c) * w[c], load(x_row + c) * r, total);
  const float mean = group_sum(lanes, total) / (float)C;
  for (uint c = i; c < C; c += GROUP) {
    const float xhat = load(x_row + c) * r;
    const float v = r * fma(-mean, xhat, load(dy_row + c) * w[c]);
    store(dy_row + c, xhat * w[c]);
    store(dx_row + c, accumulate ? load(dx_row + c) + v : v);
  }
}

// partial[block, c] = sum over the block's rows of dy x rstd, in order. Group (block, columns).
__attribute__((reqd_work_group_size(1, GROUP, 1)))
kernel void rms_norm_bwd_dw_gpu(global float* restrict partial,     // [blocks, C]
                                global const stored* restrict dy,   // [N, C]
                                global const stored* restrict x,    // [N, C]
                                global const float* restrict rstd,  // [N]
                                uint N, uint C) {
  const size_t block = get_group_id(0);
  const size_t c = get_global_id(1);
  if (c >= C) return;
  const size_t end = min((block + 1) * NORM_BLOCK_ROWS, (size_t)N);
  float total = 0.0f;
  for (size_t n = block * NORM_BLOCK_ROWS; n < end; ++n) {
    total = fma(load(dy + n * C + c), load(x + n * C + c) * rstd[n], total);
  }
  partial[block * C + c] = total;
}

// y = (x - mean) rstd w + b per row; the variance is summed in a second pass, because the mean of squares
// minus the square of the mean would cancel.
__attribute__((reqd_work_group_size(GROUP, 1, 1)))
kernel void layer_norm_fwd_gpu(global stored* restrict y,        // [N, C]
                               global float* restrict mean,      // [N]
                               global float* restrict rstd,      // [N]
                               global const stored* restrict x,  // [N, C]
                               global const float* restrict w,   // [C]
                               global const float* restrict b,   // [C]
                               uint C, float eps) {
  local float lanes[GROUP];
  const size_t n = get_group_id(0);
  const uint i = (uint)get_local_id(0);
  global const stored* row = x + n * C;
  float total = 0.0f;
  for (uint c = i; c < C; c += GROUP) total += load(row + c);
  const float m = group_sum(lanes, total) / (float)C;
  total = 0.0f;
  for (uint c = i; c < C; c += GROUP) total = fma(load(row + c) - m, load(row + c) - m, total);
  const float r = 1.0f / sqrt(group_sum(lanes, total) / (float)C + eps);
  if (i == 0) {
    mean[n] = m;
    rstd[n] = r;
  }
  for (uint c = i; c < C; c += GROUP) store(y + n * C + c, fma((load(row + c) - m) * r, w[c], b[c]));
}

// dx = rstd (g - mean(g) - xhat mean(g xhat)) per row, with xhat = (x - mean) rstd and g = dy w; added
// when `accumulate`. dy becomes y.
__attribute__((reqd_work_group_size(GROUP, 1, 1)))
kernel void layer_norm_bwd_dx_gpu(global stored* restrict dx,         // [N, C]
                                  global stored* restrict dy,         // [N, C]
                                  global const stored* restrict x,    // [N, C]
                                  global const float* restrict w,     // [C]
                                  global const float* restrict b,     // [C]
                                  global const float* restrict mean,  // [N]
                                  global const float* restrict rstd,  // [N]
                                  uint C, uint accumulate) {
  local float lanes[GROUP];
  const size_t n = get_group_id(0);
  const uint i = (uint)get_local_id(0);
  global stored* dy_row = dy + n * C;
  global const stored* x_row = x + n * C;
  global stored* dx_row = dx + n * C;
  const float m = mean[n];
  const float r = rstd[n];
  float g_total = 0.0f;
  float gx_total = 0.0f;
  for (uint c = i; c < C; c += GROUP) {
    const float g = load(dy_row + c) * w[c];
    g_total += g;
    gx_total = fma(g, (load(x_row + c) - m) * r, gx_total);
  }
  const float g_mean = group_sum(lanes, g_total) / (float)C;
  const float gx_mean = group_sum(lanes, gx_total) / (float)C;
  for (uint c = i; c < C; c += GROUP) {
    const float xhat = (load(x_row + c) - m) * r;
    const float v = r * fma(-gx_mean, xhat, load(dy_row + c) * w[c] - g_mean);
    store(dy_row + c, fma(xhat, w[c], b[c]));
    store(dx_row + c, accumulate ? load(dx_row + c) + v : v);
  }
}

// partial[block, 0, c] = sum over the block's rows of dy xhat (dw), [block, 1, c] of dy (db), in order.
// Group (block, columns).
__attribute__((reqd_work_group_size(1, GROUP, 1)))
kernel void layer_norm_bwd_dw_gpu(global float* restrict partial,     // [blocks, 2, C]
                                  global const stored* restrict dy,   // [N, C]
                                  global const stored* restrict x,    // [N, C]
                                  global const float* restrict mean,  // [N]
                                  global const float* restrict rstd,  // [N]
                                  uint N, uint C) {
  const size_t block = get_group_id(0);
  const size_t c = get_global_id(1);
  if (c >= C) return;
  const size_t end = min((block + 1) * NORM_BLOCK_ROWS, (size_t)N);
  float dw = 0.0f;
  float db = 0.0f;
  for (size_t n = block * NORM_BLOCK_ROWS; n < end; ++n) {
    const float d = load(dy + n * C + c);
    dw = fma(d, (load(x + n * C + c) - mean[n]) * rstd[n], dw);
    db += d;
  }
  partial[2 * block * C + c] = dw;
  partial[(2 * block + 1) * C + c] = db;
}
