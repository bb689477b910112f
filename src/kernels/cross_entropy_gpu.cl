// Softmax cross-entropy of rows of logits for GPUs: one work-group a row.
#include "common.clh"
#include "stored.clh"

#define GROUP 256

// The largest and the sum over the group's lanes, as a fixed tree in local memory. All lanes get it.
inline float group_max(local float scratch[GROUP], float value) {
  const uint lane = (uint)get_local_id(0);
  scratch[lane] = value;
  for (uint half_size = GROUP / 2; half_size > 0; half_size /= 2) {
    barrier(CLK_LOCAL_MEM_FENCE);
    if (lane < half_size) scratch[lane] = fmax(scratch[lane], scratch[lane + half_size]);
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  const float result = scratch[0];
  barrier(CLK_LOCAL_MEM_FENCE);
  return result;
}

inline float group_sum(local float scratch[GROUP], float value) {
  const uint lane = (uint)get_local_id(0);
  scratch[lane] = value;
  for (uint half_size = GROUP / 2; half_size > 0; half_size /= 2) {
    barrier(CLK_LOCAL_MEM_FENCE);
    if (lane < half_size) scratch[lane] += scratch[lane + half_size];
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  const float result = scratch[0];
  barrier(CLK_LOCAL_MEM_FENCE);
  return result;
}

// A NaN is passed over here, and then makes the sum of exponentials NaN.
inline float lane_max(global const stored* x, uint V) {
  float largest = -FLT_MAX;
  for (size_t v = get_local_id(0); v < V; v += GROUP) largest = fmax(largest, load(x + v));
  return largest;
}

// A lane's share of the sum of exponentials, in blocks of this many: a vocabulary has many terms of one
// size, and a single running sum would round all of them the same way.
#define BLOCK 32

inline float lane_sum(global const stored* x, float largest, uint V) {
  float total = 0.0f;
  for (size_t first = get_local_id(0); first < V; first += GROUP * BLOCK) {
    const size_t end = min((size_t)V, first + GROUP * BLOCK);
    float block = 0.0f;
    for (size_t v = first; v < end; v += GROUP) block += exp(load(x + v) - largest);
    total += block;
  }
  return total;
}

// How far the target's logit is below the largest. NaN for a target that is no class, so that it shows
// and nothing is read out of bounds.
inline float below_largest(global const stored* x, float largest, int target, uint V) {
  return target >= 0 && (uint)target < V ? largest - load(x + target) : NAN;
}

// loss[n] = log(sum_v exp(x_v)) - x_target, the largest x taken out of the exponents; 0 where the target is
// `ignored`. loss: [N]; logits: [N, V]; targets: [N].
__attribute__((reqd_work_group_size(256, 1, 1)))
kernel void cross_entropy_fwd_gpu(global float* restrict loss, global const stored* restrict logits,
                                  global const int* restrict targets, uint V, int ignored) {
  local float scratch[GROUP];
  const size_t n = get_group_id(0);
  global const stored* x = logits + n * V;
  const float largest = group_max(scratch, lane_max(x, V));
  const float total = group_sum(scratch, lane_sum(x, largest, V));
  if (get_local_id(0) == 0) {
    loss[n] = targets[n] == ignored ? 0.0f : log(total) + below_largest(x, largest, targets[n], V);
  }
}

// The same, and logits[n, v] becomes d loss[n] / d logits[n, v] = softmax_v - [v is the target], times
// loss_scale[0] if there is one; zero for an ignored target, NaN for one that is no class.
__attribute__((reqd_work_group_size(256, 1, 1)))
kernel void cross_entropy_bwd_gpu(global float* restrict loss, global stored* restrict logits,
                                  global const int* restrict targets,
                                  OPTIONAL global const float* restrict loss_scale, uint V, int ignored) {
  local float scratch[GROUP];
  const size_t n = get_group_id(0);
  global stored* x = logits + n * V;
  const int target = targets[n];
  const bool zero = target == ignored;
  const float largest = group_max(scratch, lane_max(x, V));
  const float distance = below_largest(x, largest, target, V);
  const float total = group_sum(scratch, lane_sum(x, largest, V));
  if (get_local_id(0) == 0) loss[n] = zero ? 0.0f : log(total) + distance;
  // Every lane has read the target's logit before its owner overwrites it.
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  const float scale = isnan(distance) ? NAN : 1.0f / total;
  const float factor = loss_scale ? loss_scale[0] : 1.0f;
  for (size_t v = get_local_id(0); v < V; v += GROUP) {
    const float p = exp(load(x + v) - largest) * scale;
    // An ignored row is written, not scaled: zero times infinity is not zero.
    store(x + v, zero ? 0.0f : (target >= 0 && v == (size_t)target ? p - 1.0f : p) * factor);
  }
}
