// The ends of reductions, one work-item each, on CPUs and GPUs alike.
#include "common.clh"

// out[0] = value[0], or += when `accumulate`.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void store_sum(global float* restrict out, global const float* restrict value, uint accumulate) {
  out[0] = accumulate ? out[0] + value[0] : value[0];
}

// Writes control[0 .. 2] = {factor, norm of the mean gradient, number of non-finite gradients}, from the
// ranks' partials (sum of squares, number of non-finite), added in order. With n tokens, of which control[6]
// is 1 / n, the mean gradient is g / n:
//   norm = sqrt(sum of squares) / n, factor = min(1, max_norm / norm) / n; max_norm 0 does not clip.
// Squares can pass the largest float while the gradients are finite: that counts as non-finite as well,
// since nothing sensible can be done with the norm.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void clip_factor_control(global float* restrict control,         // [7]
                                global const float* restrict partials,  // [P, 2]
                                uint P, float max_norm) {
  const float one_over_tokens = control[6];
  float squares = 0.0f;
  float bad = 0.0f;
  for (uint p = 0; p < P; ++p) {
    squares += partials[2 * p];
    bad += partials[2 * p + 1];
  }
  if (is_non_finite(squares) != 0) bad = fmax(bad, 1.0f);
  const float norm = sqrt(squares) * one_over_tokens;
  const bool clips = max_norm > 0.0f && norm > max_norm;
  const float factor = clips ? max_norm / norm * one_over_tokens : one_over_tokens;
  control[0] = bad > 0.0f ? 0.0f : factor;
  control[1] = norm;
  control[2] = bad;
}
