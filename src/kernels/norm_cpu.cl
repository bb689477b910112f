// RMSNorm and LayerNorm for CPUs: no local memory, sixteen floats at a time. One work-item a block of rows; in
// the backward it also sums the block's share of dw and db; partials_cpu.cl adds the blocks up. A row is summed
// in sixteen lanes, the lanes as a fixed tree, the tail in order. Rows come twice, from memory and from the
// first cache; meanwhile the row after next is asked for, so that memory does not wait. Where three tensors are
// read, one is asked for with the first reading: requests spread over both cost less than all with one.
#include "common.clh"
#include "prefetch.clh"
#include "stored.clh"
#include "past_caches.clh"
#include "norm.clh"

// y[n,c] = x[n,c] * rstd[n] * w[c], rstd = 1/sqrt(mean_c(x^2) + eps). With `past`, y is stored past the caches
// where it may be.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void rms_norm_fwd_cpu(global stored* restrict y,        // [N, C]
                             global float* restrict rstd,      // [N]
                             global const stored* restrict x,  // [N, C]
                             global const float* restrict w,   // [C]
                             uint N, uint C, float eps, uint past) {
  const size_t end = min((get_group_id(0) + 1) * NORM_CPU_ROWS, (size_t)N);
  for (size_t n = get_group_id(0) * NORM_CPU_ROWS; n < end; ++n) {
    global const stored* row = x + n * C;
    float16 lanes = (float16)(0.0f);
    uint c = 0;
    for (; c + 16 <= C; c += 16) {
      const float16 v = load16(row + c);
      lanes = fma(v, v, lanes);
    }
    float total = sum16(lanes);
    for (; c < C; ++c) total = fma(load(row + c), load(row + c), total);
    const float r = 1.0f / sqrt(total / (float)C + eps);
    rstd[n] = r;
    global stored* out = y + n * C;
    const bool passes = past && may_pass(out);
    for (c = 0; c + 16 <= C; c += 16) {
      EXPECT(row + 2 * (size_t)C + c);
      store16_where(out + c, load16(row + c) * r * LOAD16(w + c), passes);
    }
    for (; c < C; ++c) store(out + c, load(row + c) * r * w[c]);
  }
  if (past) end_past();
}

// Per row, with xhat = x rstd and g = dy w: dx = rstd (g - xhat mean(g xhat)), added when `accumulate`.
// partial[block, c] = sum over the block's rows of dy xhat, in order. dy becomes y.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void rms_norm_bwd_cpu(global stored* restrict dx,         // [N, C]
                             global float* restrict partial,     // [blocks, C]
                             global stored* restrict dy,         // [N, C]
                             global const stored* restrict x,    // [N, C]
                             global const float* restrict w,     // [C]
                             global const float* restrict rstd,  // [N]
                             uint N, uint C, uint accumulate) {
  const size_t block = get_group_id(0);
  global float* dw = partial + block * C;
  for (uint c = 0; c < C; ++c) dw[c] = 0.0f;
  const size_t end = min((block + 1) * NORM_BLOCK_ROWS, (size_t)N);
  for (size_t n = block * NORM_BLOCK_ROWS; n < end; ++n) {
    global stored* dy_row = dy + n * C;
    global const stored* x_row = x + n * C;
    global stored* dx_row = dx + n * C;
    const float r = rstd[n];
    float16 lanes = (float16)(0.0f);
    uint c = 0;
    for (; c + 16 <= C; c += 16) {
      EXPECT(dy_row + 2 * (size_t)C + c);
      lanes = fma(load16(dy_row + c) * LOAD16(w + c), load16(x_row + c) * r, lanes);
    }
    float total = sum16(lanes);
    for (; c < C; ++c) total = fma(load(dy_row + c) * w[c], load(x_row + c) * r, total);
    const float mean = total / (float)C;
    for (c = 0; c + 16 <= C; c += 16) {
      EXPECT(x_row + 2 * (size_t)C + c);
      EXPECT(dx_row + 2 * (size_t)C + c);
      const float16 d = load16(dy_row + c);
      const float16 xhat = load16(x_row + c) * r;
      const float16 w16 = LOAD16(w + c);
      const float16 v = r * fma(-mean, xhat, d * w16);
      store16(dy_row + c, xhat * w16);
      store16(dx_row + c, accumulate ? load16(dx_row + c) + v : v);
      STORE16(dw + c, fma(d, xhat, LOAD16(dw + c)));
    }
    for (; c < C; ++c) {
      const float d = load(dy_row + c);
      const float xhat = load(x_row + c) * r;
      const float v = r * fma(-mean, xhat, d * w[c]);
      store(dy_row + c, xhat * w[c]);
      store(dx_row + c, accumulate ? load(dx_row + c) + v : v);
      dw[c] = fma(d, xhat, dw[c]);
    }
  }
}

// y = (x - mean) rstd w + b per row. The variance is summed in a second pass over x - mean: the mean of
// squares minus the square of the mean would cancel. With `past`, y is stored past the caches where it may be.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void layer_norm_fwd_cpu(global stored* restrict y,        // [N, C]
                               global float* restrict mean,      // [N]
                               global float* restrict rstd,      // [N]
                               global const stored* restrict x,  // [N, C]
                               global const float* restrict w,   // [C]
                               global const float* restrict b,   // [C]
                               uint N, uint C, float eps, uint past) {
  const size_t end = min((get_group_id(0) + 1) * NORM_CPU_ROWS, (size_t)N);
  for (size_t n = get_group_id(0) * NORM_CPU_ROWS; n < end; ++n) {
    global const stored* row = x + n * C;
    float16 lanes = (float16)(0.0f);
    uint c = 0;
    for (; c + 16 <= C; c += 16) lanes += load16(row + c);
    float total = sum16(lanes);
    for (; c < C; ++c) total += load(row + c);
    const float m = total / (float)C;
    lanes = (float16)(0.0f);
    for (c = 0; c + 16 <= C; c += 16) {
      EXPECT(row + 2 * (size_t)C + c);
      const float16 v = load16(row + c) - m;
      lanes = fma(v, v, lanes);
    }
    total = sum16(lanes);
    for (; c < C; ++c) total = fma(load(row + c) - m, load(row + c) - m, total);
    const float r = 1.0f / sqrt(total / (float)C + eps);
    mean[n] = m;
    rstd[n] = r;
    global stored* out = y + n * C;
    const bool passes = past && may_pass(out);
    for (c = 0; c + 16 <= C; c += 16) {
      store16_where(out + c, fma((load16(row + c) - m) * r, LOAD16(w + c), LOAD16(b + c)), passes);
    }
    for (; c < C; ++c) store(out + c, fma((load(row + c) - m) * r, w[c], b[c]));
  }
  if (past) end_past();
}

// Per row, with xhat = (x - mean) rstd and g = dy w: dx = rstd (g - mean(g) - xhat mean(g xhat)), added
// when `accumulate`. partial[block, 0, c] sums dy xhat (dw) over the block's rows, [block, 1, c] dy (db). dy
// becomes y.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void layer_norm_bwd_cpu(global stored* restrict dx,         // [N, C]
                               global float* restrict partial,     // [blocks, 2, C]
                               global stored* restrict dy,         // [N, C]
                               global const stored* restrict x,    // [N, C]
                               global const float* restrict w,     // [C]
                               global const float* restrict b,     // [C]
                               global const float* restrict mean,  // [N]
                               global const float* restrict rstd,  // [N]
                               uint N, uint C, uint accumulate) {
  const size_t block = get_group_id(0);
  global float* dw = partial + 2 * block * C;
  global float* db = dw + C;
  for (size_t c = 0; c < 2 * (size_t)C; ++c) dw[c] = 0.0f;
  const size_t end = min((block + 1) * NORM_BLOCK_ROWS, (size_t)N);
  for (size_t n = block * NORM_BLOCK_ROWS; n < end; ++n) {
    global stored* dy_row = dy + n * C;
    global const stored* x_row = x + n * C;
    global stored* dx_row = dx + n * C;
    const float m = mean[n];
    const float r = rstd[n];
    float16 g_lanes = (float16)(0.0f);
    float16 gx_lanes = (float16)(0.0f);
    uint c = 0;
    for (; c + 16 <= C; c += 16) {
      EXPECT(dy_row + 2 * (size_t)C + c);
      const float16 g = load16(dy_row + c) * LOAD16(w + c);
      g_lanes += g;
      gx_lanes = fma(g, (load16(x_row + c) - m) * r, gx_lanes);
    }
    float g_total = sum16(g_lanes);
    float gx_total = sum16(gx_lanes);
    for (; c < C; ++c) {
      const float g = load(dy_row + c) * w[c];
      g_total += g;
      gx_total = fma(g, (load(x_row + c) - m) * r, gx_total);
    }
    const float g_mean = g_total / (float)C;
    const float gx_mean = gx_total / (float)C;
    for (c = 0; c + 16 <= C; c += 16) {
      EXPECT(x_row + 2 * (size_t)C + c);
      EXPECT(dx_row + 2 * (size_t)C + c);
      const float16 d = load16(dy_row + c);
      const float16 xhat = (load16(x_row + c) - m) * r;
      const float16 w16 = LOAD16(w + c);
      const float16 v = r * fma(-gx_mean, xhat, d * w16 - g_mean);
      store16(dy_row + c, fma(xhat, w16, LOAD16(b + c)));
      store16(dx_row + c, accumulate ? load16(dx_row + c) + v : v);
      STORE16(dw + c, fma(d, xhat, LOAD16(dw + c)));
      STORE16(db + c, LOAD16(db + c) + d);
    }
    for (; c < C; ++c) {
      const float xhat = (load(x_row + c) - m) * r;
      const float d = load(dy_row + c);
      const float v = r * fma(-gx_mean, xhat, d * w[c] - g_mean);
      store(dy_row + c, fma(xhat, w[c], b[c]));
      store(dx_row + c, accumulate ? load(dx_row + c) + v : v);
      dw[c] = fma(d, xhat, dw[c]);
      db[c] += d;
    }
  }
}
