// SwiGLU and GELU.
#include "kernels/check.h"
#include "kernels/generated.h"
#include "kernels/ops.h"

namespace motley::op {
namespace {

// What a work-item of the cpu family takes: long enough to hide its start, short enough to share
// evenly.
constexpr std::uint32_t cpu_block = 4096;
// The work-groups of the gpu family, as in activation_gpu.cl.
constexpr std::size_t gpu_group = 256;

/// The width F of an mlp whose y is [N, F] and whose gate_up is [N, 2F].
std::uint32_t check_swiglu(std::string_view op, const Tensor& y, const Tensor& gate_up) {
  check_rank(op, "y", y, 2);
  check_tensor(op, "gate_up", gate_up, {y.dim(0), checked_mul(2, y.dim(1))}, y.dtype());
  return narrow<std::uint32_t>(y.dim(1));
}

}  // namespace

void swiglu(Stream& s, Tensor& y, const Tensor& gate_up) {
  const std::uint32_t F = check_swiglu("swiglu", y, gate_up);
  const std::size_t N = y.dim(0);
  check_tensor("swiglu", "y", y, {N, F}, y.dtype());
  if (s.device().family() == KernelFamily::cpu) {
    launch(s, {.groups = {N, 1, 1}}, k::swiglu_fwd_cpu{.y = y, .gate_up = gate_up, .F = F});
    return;
  }
  const auto chunks = narrow<std::uint32_t>(ceil_div(F, gpu_group));
  launch(s, {.groups = {checked_mul(N, chunks), 1, 1}, .local = {gpu_group, 1, 1}},
         k::swiglu_fwd_gpu{.y = y, .gate_up = gate_up, .F = F, .chunks = chunks});
}

void swiglu_backward(Stream& s, Tensor& gate_up, Tensor& dy) {
  const std::uint32_t F = check_swiglu("swiglu_backward", dy, gate_up);
  const std::size_t N = dy.dim(0);
  check_tensor("swiglu_backward", "dy", dy, {N, F}, dy.dtype());
  if (s.device().family() == KernelFamily::cpu) {
    launch(s, {.groups = {N, 1, 1}}, k::swiglu_bwd_cpu{.gate_up = gate_up, .dy = dy, .F = F});
    return;
  }
  const auto chunks = narrow<std::uint32_t>(ceil_div(F, gpu_group));
  launch(s, {.groups = {checked_mul(N, chunks), 1, 1}, .local = {gpu_group, 1, 1}},
         k::swiglu_bwd_gpu{.gate_up = gate_up, .dy = dy, .F = F, .chunks = chunks});
}

void gelu(Stream& s, Tensor& y, const Tensor& x, Gelu kind) {
  check_tensor("gelu", "x", x, y.shape(), x.dtype());
  check_tensor("gelu", "y", y, x.shape(), x.dtype());
  const std::uint64_t size = y.size();
  const std::uint32_t exact = kind == Gelu::erf ? 1 : 0;
  if (s.device().family() == KernelFamily::cpu) {
    launch(s, {.groups = {ceil_div(size, cpu_block), 1, 1}},
           k::gelu_fwd_cpu{.y = y, .x = x, .size = size, .block = cpu_block, .exact = exact});
    return;
  }
  launch(s, {.groups = {ceil_div(size, gpu_group), 1, 1}, .local = {gpu_group, 1, 1}},
         k::gelu_fwd_gpu{.y = y, .x = x, .size = size, .exact = exact});
}

void gelu_backward(Stream& s, Tensor& x, Tensor& dy, Gelu kind) {
  check_tensor("gelu_backward", "dy", dy, x.shape(), x.dtype());
  const std::uint64_t size = x.size();
  const std::uint32_t exact = kind == Gelu::erf ? 1 : 0;
  if (s.device().family() == KernelFamily::cpu) {
    launch(s, {.groups = {ceil_div(size, cpu_block), 1, 1}},
           k::gelu_bwd_cpu{.x = x, .dy = dy, .size = size, .block = cpu_block, .exact = exact});
    return;
  }
  launch(s, {.groups = {ceil_div(size, gpu_group), 1, 1}, .local = {gpu_group, 1, 1}},
         k::gelu_bwd_gpu{.x = x, .dy = dy, .size = size, .exact = exact});
}

}  // namespace motley::op
