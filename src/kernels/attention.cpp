// Causal attention, forward and backward: checks, and the kernels of each family.
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

/// What the families' kernels take alike.
template <class K>
void launch_forward(Stream& s, Tensor& y, Tensor& lse, const Tensor& qkv, const Plan& plan,
                    const AttentionShape& shape) {
  launch(
      s, grid_of(plan.family, shape, shape.H),
      K{.y = y, .lse = lse, .qkv = qkv, .T = plan.T, .H = plan.H, .G = plan.G, .scale = plan.scale},
      plan.defines, flops_of(shape, 2));  // q k and p v
}

template <class Dq, class Dkdv>
void launch_backward(Stream& s, Tensor& dqkv, const Tensor& dy, const AttentionSaved& saved,
                     const Plan& plan, const AttentionShape& shape) {
  // rowsum(dy * y), which the first kernel writes and the second reads.
  Tensor delta = s.tensor({shape.B, shape.H, shape.T});
  launch(s, grid_of(plan.family, shape, shape.H),
         Dq{.dqkv = dqkv,
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
  launch(s, grid_of(plan.family, shape, shape.G),
         Dkdv{.dqkv = dqkv,
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
    launch_forward<k::attention_fwd_cpu>(s, y, lse, qkv, plan, shape);
  } else {
    launch_forward<k::attention_fwd_gpu>(s, y, lse, qkv, plan, shape);
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
    launch_backward<k::attention_bwd_dq_cpu, k::attention_bwd_dkdv_cpu>(s, dqkv, dy, saved, plan,
                                                                        shape);
  } else {
    launch_backward<k::attention_bwd_dq_gpu, k::attention_bwd_dkdv_gpu>(s, dqkv, dy, saved, plan,
                                                                        shape);
  }
}

}  // namespace motley::op
