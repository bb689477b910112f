// Softmax cross-entropy of rows of logits for CPUs: one work-item a row, sixteen floats at a time. Memory
// would wait while exponentials are computed: meanwhile the next row, mostly the thread's next work-item, is
// asked for.
#include "common.clh"
#include "exp.clh"
#include "prefetch.clh"
#include "stored.clh"

// The largest of a row. A NaN is passed over here, and then makes the sum of exponentials NaN.
inline float row_max(global const stored* x, uint V) {
  float16 lanes = (float16)(-FLT_MAX);
  uint v = 0;
  for (; v + 16 <= V; v += 16) lanes = larger16(lanes, load16(x + v));
  float largest = max16(lanes);
  for (; v < V; ++v) largest = fmax(largest, load(x + v));
  return largest;
}

// Exponentials are summed in blocks of this many, and the blocks' sums one after the other: a vocabulary
// has many terms of one size, and a single running sum would round all of them the same way.
#define BLOCK 512

// How far the target's logit is below the largest. NaN for a target that is no class, so that it shows
// and nothing is read out of bounds.
inline float below_largest(global const stored* x, float largest, int target, uint V) {
  return target >= 0 && (uint)target < V ? largest - load(x + target) : NAN;
}

// loss[n] = log(sum_v exp(x_v)) - x_target, the largest x taken out of the exponents; 0 where the target is
// `ignored`. One row a work-item. loss: [N]; logits: [N, V]; targets: [N].
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void cross_entropy_fwd_cpu(global float* restrict loss, global const stored* restrict logits,
                                  global const int* restrict targets, uint V, int ignored) {
  const size_t n = get_group_id(0);
  global const stored* x = logits + n * V;
  const float largest = row_max(x, V);
  float16 lanes = (float16)(0.0f);
  const uint whole = V / 16 * 16;
  uint v = 0;
  while (v < whole) {
    float16 block = (float16)(0.0f);
    for (const uint end = v + min(whole - v, (uint)BLOCK); v < end; v += 16) {
      EXPECT(x + V + v);
      block += exp16(load16(x + v) - largest);
    }
    lanes += block;
  }
  float total = sum16(lanes);
  for (; v < V; ++v) total += exp(load(x + v) - largest);
  loss[n] = targets[n] == ignored ? 0.0f : log(total) + below_largest(x, largest, targets[n], V);
}

// Floats keep a row's exponentials until their sum is known. Sixteen bits would round them before they are
// scaled, so there they are computed a second time.
#ifdef OF_STORED
#define IN_PLACE 0
#else
#define IN_PLACE 1
#endif

// The same, and logits[n, v] becomes d loss[n] / d logits[n, v] = softmax_v - [v is the target], times
// loss_scale[0] if there is one; zero for an ignored target, NaN for one that is no class.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void cross_entropy_bwd_cpu(global float* restrict loss, global stored* restrict logits,
                                  global const int* restrict targets,
                                  OPTIONAL global const float* restrict loss_scale, uint V, int ignored) {
  const size_t n = get_group_id(0);
  global stored* x = logits + n * V;
  const int target = targets[n];
  const float largest = row_max(x, V);
  const float distance = below_largest(x, largest, target, V);
  float16 lanes = (float16)(0.0f);
  const uint whole = V / 16 * 16;
  uint v = 0;
  while (v < whole) {
    float16 block = (float16)(0.0f);
    for (const uint end = v + min(whole - v, (uint)BLOCK); v < end; v += 16) {
      EXPECT(x + V + v);
      const float16 e = exp16(load16(x + v) - largest);
      if (IN_PLACE) store16(x + v, e);
      block += e;
    }
    lanes += block;
  }
  float total = sum16(lanes);
  for (; v < V; ++v) {
    const float e = exp(load(x + v) - largest);
    if (IN_PLACE) store(x + v, e);
    total += e;
  }
  const bool zero = target == ignored;
  loss[n] = zero ? 0.0f : log(total) + distance;
  // An ignored row is written, not scaled: zero times infinity is not zero.
  const float one_over_total = isnan(distance) ? NAN : 1.0f / total;
  const float factor = loss_scale ? loss_scale[0] : 1.0f;
  const float scale = one_over_total * factor;
  const bool has_target = !zero && target >= 0 && (uint)target < V;
  float at_target = 0.0f;
  if (has_target) at_target = ((IN_PLACE ? load(x + target) : exp(-distance)) * one_over_total - 1.0f) * factor;
  for (v = 0; v + 16 <= V; v += 16) {
    const float16 e = IN_PLACE ? load16(x + v) : exp16(load16(x + v) - largest);
    store16(x + v, zero ? (float16)(0.0f) : e * scale);
  }
  for (; v < V; ++v) {
    const float e = IN_PLACE ? load(x + v) : exp(load(x + v) - largest);
    store(x + v, zero ? 0.0f : e * scale);
  }
  if (has_target) store(x + target, at_target);
}
