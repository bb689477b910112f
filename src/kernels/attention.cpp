// Causal attention, forward and backward: checks, and the kernels of each family.
#include <cmath>

#include "kernels/attention_check.h"
#include "kernels/check.h"
#include "kernels/generated.h"
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

Plan make_plan(std::string_view op, Stream& s, const AttentionShape& shape) {
  check_attention_shape(op, shape);
  return {.width = qkv_width(shape),
          .T = narrow<std::uint32_t>(shape.T),
          .H = narrow<std::uint32_t>(shape.H),
          .G = narrow<std::uint32_t>(shape.G),
          .scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(shape.D))),
          .family = s.device().family(),
          .defines = {{"HEAD_DIM", narrow<std::int64_t>(shape.D)}}};
}

/// Blocks of rows x heads x sequences.
Grid grid_of(KernelFamily family, const AttentionShape& shape, std::size_t heads) {
  if (family == KernelFamily::cpu)
    return {.groups = {ceil_div(shape.T, cpu_block), heads, shape.B}};
  return {.groups = {ceil_div(shape.T, gpu_group), heads, shape.B}, .local = {gpu_group, 1, 1}};
}

/// Of products of T x T with D columns in all heads, of which causality leaves half.
double flops_of(const AttentionShape& shape, int num_products) {
  const double rows = static_cast<double>(shape.T);
  return num_products * rows * (rows + 1) * static_cast<double>(shape.D) *
         static_cast<double>(shape.B * shape.H);
}

}  // namespace

void attention(Stream& s, Tensor& y, Tensor& lse, const Tensor& qkv, const AttentionShape& shape) {
  const Plan plan = make_plan("attention", s, shape);
  const std::size_t N = checked_mul(shape.B, shape.T);
  check_real("attention", "qkv", qkv, {N, plan.width});
  check_tensor("attention", "y", y, {N, checked_mul(shape.H, shape.D)}, qkv.dtype());
  check_tensor("attention", "lse", lse, {shape.B, shape.H, shape.T});
  const Grid grid = grid_of(plan.family, shape, shape.H);
  const double flops = flops_of(shape, 2);  // q k and p v
  const auto run = [&](const auto& arguments) { launch(s, grid, arguments, plan.defines, flops); };
  if (plan.family == KernelFamily::cpu) {
    run(k::attention_fwd_cpu{.y = y,
                             .lse = lse,
                             .qkv = qkv,
                             .T = plan.T,
                             .H = plan.H,
                             .G = plan.G,
                             .scale = plan.scale});
  } else {
    run(k::attention_fwd_gpu{.y = y,
                             .lse = lse,
                             .qkv = qkv,
                             .T = plan.T,
                             .H = plan.H,
                             .G = plan.G,
                             .scale = plan.scale});
  }
}

void attention_backward(Stream& s, Tensor& dqkv, const Tensor& dy, const AttentionSaved& saved,
                        const AttentionShape& shape) {
  const Plan plan = make_plan("attention_backward", s, shape);
  const std::size_t N = checked_mul(shape.B, shape.T);
  const std::size_t y_width = checked_mul(shape.H, shape.D);
  const Dtype dtype = saved.qkv.dtype();
  check_real("attention_backward", "qkv", saved.qkv, {N, plan.width});
  check_tensor("attention_backward", "dqkv", dqkv, {N, plan.width}, dtype);
  check_tensor("attention_backward", "dy", dy, {N, y_width}, dtype);
  check_tensor("attention_backward", "y", saved.y, {N, y_width}, dtype);
  check_tensor("attention_backward", "lse", saved.lse, {shape.B, shape.H, shape.T});
  // rowsum(dy * y), which the first kernel writes and the second reads.
  Tensor delta = s.device().tensor({shape.B, shape.H, shape.T});
  const auto run = [&](std::size_t heads, int num_products, const auto& arguments) {
    launch(s, grid_of(plan.family, shape, heads), arguments, plan.defines,
           flops_of(shape, num_products));
  };
  if (plan.family == KernelFamily::cpu) {
    run(shape.H, 3,
        k::attention_bwd_dq_cpu{.dqkv = dqkv,
                                .delta = delta,
                                .dy = dy,
                                .y = saved.y,
                                .lse = saved.lse,
                                .qkv = saved.qkv,
                                .T = plan.T,
                                .H = plan.H,
                                .G = plan.G,
                                .scale = plan.scale});
    run(shape.G, 4,
        k::attention_bwd_dkdv_cpu{.dqkv = dqkv,
                                  .dy = dy,
                                  .lse = saved.lse,
                                  .delta = delta,
                                  .qkv = saved.qkv,
                                  .T = plan.T,
                                  .H = plan.H,
                                  .G = plan.G,
                                  .scale = plan.scale});
  } else {
    run(shape.H, 3,
        k::attention_bwd_dq_gpu{.dqkv = dqkv,
                                .delta = delta,
                                .dy = dy,
                                .y = saved.y,
                                .lse = saved.lse,
                                .qkv = saved.qkv,
                                .T = plan.T,
                                .H = plan.H,
                                .G = plan.G,
                                .scale = plan.scale});
    run(shape.G, 4,
        k::attention_bwd_dkdv_gpu{.dqkv = dqkv,
                                  .dy = dy,
                                  .lse = saved.lse,
                                  .delta = delta,
                                  .qkv = saved.qkv,
                                  .T = plan.T,
                                  .H = plan.H,
                                  .G = plan.G,
                                  .scale = plan.scale});
  }
}

}  // namespace motley::op
