// The linear layer and its gradients, over matrix multiplication.
#include "kernels/check.h"
#include "kernels/gemm.h"
#include "kernels/generated.h"
#include "kernels/partials.h"

namespace motley::op {
namespace {

// As in column_sum_cpu.cl and column_sum_gpu.cl.
constexpr std::size_t cpu_columns = 2048;
constexpr std::size_t cpu_rows = 64;
constexpr std::size_t gpu_columns = 64;
constexpr std::size_t gpu_parts = 4;
constexpr std::size_t gpu_rows = 128;

}  // namespace

void linear(Stream& s, Tensor& y, const Tensor& x, const Tensor& w, const Tensor* bias, Into into) {
  check_rank("linear", "x", x, 2);
  check_rank("linear", "w", w, 2);
  const std::size_t N = x.dim(0);
  const std::size_t I = x.dim(1);
  const std::size_t O = w.dim(0);
  check_real("linear", "x", x, {N, I});
  check_real("linear", "w", w, {O, I});
  check_real("linear", "y", y, {N, O});
  if (bias != nullptr) check_tensor("linear", "bias", *bias, {O});
  multiply(s, {.c = y,
               .a = x,
               .b = w,
               .bias = bias,
               .M = N,
               .N = O,
               .K = I,
               .transpose = Transpose::b,
               .into = into});
}

void linear_backward(Stream& s, LinearGradients gradients, const Tensor& dy, const Tensor* x,
                     const Tensor& w, Into into_dx) {
  check_rank("linear_backward", "dy", dy, 2);
  check_rank("linear_backward", "w", w, 2);
  const std::size_t N = dy.dim(0);
  const std::size_t I = w.dim(1);
  const std::size_t O = w.dim(0);
  check_real("linear_backward", "w", w, {O, I});
  check_real("linear_backward", "dy", dy, {N, O});
  if (gradients.dx != nullptr) {
    check_real("linear_backward", "dx", *gradients.dx, {N, I});
    matmul(s, *gradients.dx, dy, w, Transpose::none, into_dx);
  }
  if (gradients.dw != nullptr) {
    check_tensor("linear_backward", "dw", *gradients.dw, {O, I});
    check_real("linear_backward", "x", *x, {N, I});
    matmul(s, *gradients.dw, dy, *x, Transpose::a, Into::accumulate);
  }
  if (gradients.dbias != nullptr) column_sum(s, *gradients.dbias, dy);
}

void column_sum(Stream& s, Tensor& out, const Tensor& x) {
  check_rank("column_sum", "x", x, 2);
  const std::size_t N = x.dim(0);
  const std::size_t C = x.dim(1);
  check_real("column_sum", "x", x, {N, C});
  check_tensor("column_sum", "out", out, {C});
  const auto columns = narrow<std::uint32_t>(C);
  const auto rows = narrow<std::uint32_t>(N);
  const bool on_cpu = s.device().family() == KernelFamily::cpu;
  const std::size_t blocks = ceil_div(N, on_cpu ? cpu_rows : gpu_rows);
  Tensor partial = s.tensor({blocks, 1, C});
  if (on_cpu) {
    launch(s, {.groups = {ceil_div(C, cpu_columns), blocks, 1}},
           k::column_sum_blocks_cpu{.partial = partial, .x = x, .N = rows, .C = columns});
  } else {
    launch(s,
           {.groups = {ceil_div(C, gpu_columns), blocks, 1}, .local = {gpu_columns, gpu_parts, 1}},
           k::column_sum_blocks_gpu{.partial = partial, .x = x, .N = rows, .C = columns});
  }
  add_partials(s, out, partial, 0);
}

}  // namespace motley::op
