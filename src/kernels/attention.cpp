// Causal attention, forward and backward: checks, and the kernels of each family.
#include <algorithm>
#include <cmath>

#include "kernels/attention_check.h"
#include "kernels/check.h"
#include "kernels/generated.h"
#include "kernels/matrix_unit.h"
#include "kernels/ops.h"
#include "tensor/device.h"

namespace motley::op {
namespace {

// Rows a work-group owns: BLOCK of attention_cpu.clh and GROUP of attention_gpu.clh.
constexpr std::size_t cpu_block = 16;
constexpr std::size_t gpu_group = 64;

/// What every launch of one call shares. The head size is a build constant: it sizes register
/// tiles.
struct Plan {
  std::size_t width;  // columns of qkv
  std::uint32_t T;
  std::uint32_t H;
  std::uint32_t G;
  float scale;
  KernelFamily family;
  Defines defines;
};

/// Whether the matrix unit multiplies. Its vectors of pairs hold 32 columns.
bool uses_unit(Stream& s, Dtype dtype, std::size_t D) {
  return s.device().family() == KernelFamily::cpu && dtype == Dtype::bf16 && D % 32 == 0 &&
         multiplies_pairs(find_matrix_unit(s));
}

Plan make_plan(std::string_view op, Stream& s, Dtype dtype, const AttentionShape& shape) {
  check_attention_shape(op, shape);
  Plan plan{.width = qkv_width(shape),
            .T = narrow<std::uint32_t>(shape.T),
            .H = narrow<std::uint32_t>(shape.H),
            .G = narrow<std::uint32_t>(shape.G),
            .scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(shape.D))),
            .family = s.device().family(),
            .defines = {{"HEAD_DIM", narrow<std::int64_t>(shape.D)}}};
  if (uses_unit(s, dtype, shape.D)) {
    plan.defines.add("BF16_PAIRS", 1);
    plan.defines.add("X86_AVX512_BF16", 1);
  }
  return plan;
}

/// Blocks of rows x heads x sequences.
Grid cpu_grid(const AttentionShape& shape, std::size_t heads) {
  return {.groups = {ceil_div(shape.T, cpu_block), heads, shape.B}};
}
Grid gpu_grid(const AttentionShape& shape, std::size_t heads) {
  return {.groups = {ceil_div(shape.T, gpu_group), heads, shape.B}, .local = {gpu_group, 1, 1}};
}

/// Numbers of 32 bits that a block of rows takes as CPUs' kernels multiply it, packed or as sums.
std::size_t block_size(std::size_t D) {
  return cpu_block * round_up(D, 16);
}

/// Of products of T x T with D columns in all heads, of which causality leaves half.
double flops_of(const AttentionShape& shape, int num_products) {
  const double rows = static_cast<double>(shape.T);
  return num_products * rows * (rows + 1) * static_cast<double>(shape.D) *
         static_cast<double>(shape.B * shape.H);
}

void launch_forward_cpu(Stream& s, Tensor& y, Tensor& lse, const Tensor& qkv, const Plan& plan,
                        const AttentionShape& shape) {
  Tensor packed = s.tensor(
      {checked_mul(shape.B, shape.G), ceil_div(shape.T, cpu_block), 2 * block_size(shape.D)});
  launch(s, cpu_grid(shape, shape.G),
         k::attention_fwd_pack_cpu{
             .packed = packed, .qkv = qkv, .T = plan.T, .H = plan.H, .G = plan.G},
         plan.defines);
  launch(s, cpu_grid(shape, shape.H),
         k::attention_fwd_cpu{.y = y,
                              .lse = lse,
                              .qkv = qkv,
                              .packed = packed,
                              .T = plan.T,
                              .H = plan.H,
                              .G = plan.G,
                              .scale = plan.scale},
         plan.defines, flops_of(shape, 2));  // q k and p v
}

void launch_forward_gpu(Stream& s, Tensor& y, Tensor& lse, const Tensor& qkv, const Plan& plan,
                        const AttentionShape& shape) {
  launch(s, gpu_grid(shape, shape.H),
         k::attention_fwd_gpu{.y = y,
                              .lse = lse,
                              .qkv = qkv,
                              .T = plan.T,
                              .H = plan.H,
                              .G = plan.G,
                              .scale = plan.scale},
         plan.defines, flops_of(shape, 2));
}

/// Blocks of keys that a work-item of the backward owns. Each span has gradients of its own of all
/// queries that it reaches: more spans keep more processors busy, and take more memory. It is a
/// question of T alone, so that results are.
std::size_t blocks_in_span(std::size_t T) {
  constexpr std::size_t least = 256 / cpu_block;
  constexpr std::size_t most_spans = 4;
  return std::max(least, ceil_div(ceil_div(T, cpu_block), most_spans));
}

/// Blocks of queries, and of dy, that a work-item of the backward packs at a time, in local memory
/// beside one block of keys. More of them keep what they are multiplied with in the caches longer,
/// until they themselves leave the second-level cache.
std::size_t blocks_in_chunk(const DeviceInfo& device, std::size_t D) {
  constexpr std::size_t most = 32;
  constexpr std::size_t most_bytes = std::size_t{264} << 10;
  const std::size_t block_bytes = block_size(D) * sizeof(float);
  const std::size_t least_bytes = 3 * block_bytes;
  require<DeviceError>(least_bytes <= device.local_memory, "device.local-memory",
                       "attention_backward takes {} bytes of local memory for heads of {} columns, "
                       "and {} has {}; take smaller heads, or --device.kernels gpu",
                       least_bytes, D, device.name, device.local_memory);
  const std::size_t bytes = std::clamp(most_bytes, least_bytes, device.local_memory);
  return std::min(most, (bytes / block_bytes - 1) / 2);
}

void launch_backward_cpu(Stream& s, Tensor& dqkv, const Tensor& dy, const AttentionSaved& saved,
                         const Plan& plan, const AttentionShape& shape) {
  const std::size_t blocks = ceil_div(shape.T, cpu_block);
  const std::size_t in_span = blocks_in_span(shape.T);
  const std::size_t spans = ceil_div(blocks, in_span);
  const std::size_t blocks_reached = spans * blocks - in_span * (spans * (spans - 1) / 2);
  const std::size_t heads = checked_mul(shape.B, shape.H);
  Tensor delta = s.tensor({shape.B, shape.H, shape.T});
  const std::size_t chunk = blocks_in_chunk(s.device().info(), shape.D);
  Defines defines = plan.defines;
  defines.add("CHUNK", narrow<std::int64_t>(chunk));
  // What waits for the next chunk, where there is one.
  const bool waits = shape.H > shape.G || blocks > chunk;
  Tensor sums =
      s.tensor({waits ? checked_mul(shape.B, shape.G) * blocks : 1, 2 * block_size(shape.D)});
  Tensor dq_parts = s.tensor({heads, blocks_reached, block_size(shape.D)});
  const auto span_blocks = narrow<std::uint32_t>(in_span);
  launch(
      s, cpu_grid(shape, shape.H),
      k::attention_bwd_delta_cpu{.delta = delta, .dy = dy, .y = saved.y, .T = plan.T, .H = plan.H},
      defines);
  launch(s, {.groups = {spans, shape.G, shape.B}},
         k::attention_bwd_cpu{.dqkv = dqkv,
                              .dq_parts = dq_parts,
                              .sums = sums,
                              .dy = dy,
                              .lse = saved.lse,
                              .delta = delta,
                              .qkv = saved.qkv,
                              .T = plan.T,
                              .H = plan.H,
                              .G = plan.G,
                              .scale = plan.scale,
                              .blocks_in_span = span_blocks},
         defines, flops_of(shape, 5));
  launch(s, cpu_grid(shape, shape.H),
         k::attention_bwd_dq_cpu{.dqkv = dqkv,
                                 .dq_parts = dq_parts,
                                 .T = plan.T,
                                 .H = plan.H,
                                 .G = plan.G,
                                 .scale = plan.scale,
                                 .blocks_in_span = span_blocks},
         defines);
}

void launch_backward_gpu(Stream& s, Tensor& dqkv, const Tensor& dy, const AttentionSaved& saved,
                         const Plan& plan, const AttentionShape& shape) {
  // rowsum(dy * y), which the first kernel writes and the second reads.
  Tensor delta = s.tensor({shape.B, shape.H, shape.T});
  launch(s, gpu_grid(shape, shape.H),
         k::attention_bwd_dq_gpu{.dqkv = dqkv,
                                 .delta = delta,
                                 .dy = dy,
                                 .y = saved.y,
                                 .lse = saved.lse,
                                 .qkv = saved.qkv,
                                 .T = plan.T,
                                 .H = plan.H,
                                 .G = plan.G,
                                 .scale = plan.scale},
         plan.defines, flops_of(shape, 3));
  launch(s, gpu_grid(shape, shape.G),
         k::attention_bwd_dkdv_gpu{.dqkv = dqkv,
                                   .dy = dy,
                                   .lse = saved.lse,
                                   .delta = delta,
                                   .qkv = saved.qkv,
                                   .T = plan.T,
                                   .H = plan.H,
                                   .G = plan.G,
                                   .scale = plan.scale},
         plan.defines, flops_of(shape, 4));
}

}  // namespace

void attention(Stream& s, Tensor& y, Tensor& lse, const Tensor& qkv, const AttentionShape& shape) {
  const Plan plan = make_plan("attention", s, qkv.dtype(), shape);
  const std::size_t N = checked_mul(shape.B, shape.T);
  check_real("attention", "qkv", qkv, {N, plan.width});
  check_tensor("attention", "y", y, {N, checked_mul(shape.H, shape.D)}, qkv.dtype());
  check_tensor("attention", "lse", lse, {shape.B, shape.H, shape.T});
  if (plan.family == KernelFamily::cpu) {
    launch_forward_cpu(s, y, lse, qkv, plan, shape);
  } else {
    launch_forward_gpu(s, y, lse, qkv, plan, shape);
  }
}

void attention_backward(Stream& s, Tensor& dqkv, const Tensor& dy, const AttentionSaved& saved,
                        const AttentionShape& shape) {
  const Dtype dtype = saved.qkv.dtype();
  const Plan plan = make_plan("attention_backward", s, dtype, shape);
  const std::size_t N = checked_mul(shape.B, shape.T);
  const std::size_t y_width = checked_mul(shape.H, shape.D);
  check_real("attention_backward", "qkv", saved.qkv, {N, plan.width});
  check_tensor("attention_backward", "dqkv", dqkv, {N, plan.width}, dtype);
  check_tensor("attention_backward", "dy", dy, {N, y_width}, dtype);
  check_tensor("attention_backward", "y", saved.y, {N, y_width}, dtype);
  check_tensor("attention_backward", "lse", saved.lse, {shape.B, shape.H, shape.T});
  if (plan.family == KernelFamily::cpu) {
    launch_backward_cpu(s, dqkv, dy, saved, plan, shape);
  } else {
    launch_backward_gpu(s, dqkv, dy, saved, plan, shape);
  }
}

}  // namespace motley::op
