// The language-model head and its loss in one: a chunk of tokens' logits is made, used up and
// forgotten.
#include <algorithm>

#include "kernels/check.h"
#include "kernels/gemm.h"
#include "kernels/generated.h"

namespace motley::op {
namespace {

// A chunk's logits take about this much memory. Chunks depend on the shapes and the dtype alone,
// not on the device, so that the order in which dw is added up does not either.
constexpr std::size_t chunk_bytes = std::size_t{32} << 20;
// Fewer rows than this and packing w costs more than multiplying by it.
constexpr std::size_t min_chunk_rows = 64;
// As in cross_entropy_gpu.cl.
constexpr std::size_t gpu_group = 256;

void check_head(std::string_view op, const Tensor& loss, const Tensor& x, const Tensor& w,
                const Tensor& targets) {
  check_rank(op, "x", x, 2);
  check_rank(op, "w", w, 2);
  const std::size_t N = x.dim(0);
  const std::size_t C = x.dim(1);
  check_real(op, "x", x, {N, C});
  check_real(op, "w", w, {w.dim(0), C});
  check_tensor(op, "loss", loss, {N});
  check_tensor(op, "targets", targets, {N}, Dtype::i32);
  require<ShapeError>(w.dim(0) > 0, "op.shape",
                      "{}: w is {}, it must have at least one row, a class", op,
                      to_string(w.shape()));
}

void rows_forward(Stream& s, Tensor loss, const Tensor& logits, const Tensor& targets) {
  const auto V = narrow<std::uint32_t>(logits.dim(1));
  const std::size_t rows = logits.dim(0);
  if (s.device().family() == KernelFamily::cpu) {
    launch(
        s, {.groups = {rows, 1, 1}},
        k::cross_entropy_fwd_cpu{
            .loss = loss, .logits = logits, .targets = targets, .V = V, .ignored = ignored_target});
  } else {
    launch(
        s, {.groups = {rows, 1, 1}, .local = {gpu_group, 1, 1}},
        k::cross_entropy_fwd_gpu{
            .loss = loss, .logits = logits, .targets = targets, .V = V, .ignored = ignored_target});
  }
}

void rows_backward(Stream& s, Tensor loss, Tensor& logits, const Tensor& targets,
                   const Tensor* scale) {
  const auto V = narrow<std::uint32_t>(logits.dim(1));
  const std::size_t rows = logits.dim(0);
  if (s.device().family() == KernelFamily::cpu) {
    launch(s, {.groups = {rows, 1, 1}},
           k::cross_entropy_bwd_cpu{.loss = loss,
                                    .logits = logits,
                                    .targets = targets,
                                    .loss_scale = scale,
                                    .V = V,
                                    .ignored = ignored_target});
  } else {
    launch(s, {.groups = {rows, 1, 1}, .local = {gpu_group, 1, 1}},
           k::cross_entropy_bwd_gpu{.loss = loss,
                                    .logits = logits,
                                    .targets = targets,
                                    .loss_scale = scale,
                                    .V = V,
                                    .ignored = ignored_target});
  }
}

}  // namespace

std::size_t head_chunk_rows(std::size_t N, std::size_t V, Dtype dtype) {
  const std::size_t rows = chunk_bytes / size_of(dtype) / V / min_chunk_rows * min_chunk_rows;
  return std::min(N, std::max(rows, min_chunk_rows));
}

void linear_cross_entropy(Stream& s, Tensor& loss, const Tensor& x, const Tensor& w,
                          const Tensor& targets) {
  check_head("linear_cross_entropy", loss, x, w, targets);
  const std::size_t N = x.dim(0);
  const std::size_t V = w.dim(0);
  if (N == 0) return;
  const std::size_t rows = head_chunk_rows(N, V, x.dtype());
  const Tensor storage = s.tensor({rows, V}, x.dtype());
  for (std::size_t begin = 0; begin < N; begin += rows) {
    const std::size_t end = std::min(N, begin + rows);
    Tensor logits = storage.slice(0, end - begin);
    matmul(s, logits, x.slice(begin, end), w, Transpose::b, Into::replace);
    rows_forward(s, loss.slice(begin, end), logits, targets.slice(begin, end));
  }
}

void linear_cross_entropy_with_gradient(Stream& s, Tensor& loss,
                                        LinearCrossEntropyGradients gradients, const Tensor& x,
                                        const Tensor& w, const Tensor& targets) {
  constexpr std::string_view name = "linear_cross_entropy_with_gradient";
  check_head(name, loss, x, w, targets);
  check_tensor(name, "dx", gradients.dx, x.shape(), x.dtype());
  check_tensor(name, "dw", gradients.dw, w.shape());
  if (gradients.scale != nullptr) check_tensor(name, "scale", *gradients.scale, {1});
  const std::size_t N = x.dim(0);
  const std::size_t V = w.dim(0);
  if (N == 0) return;
  const std::size_t rows = head_chunk_rows(N, V, x.dtype());
  const Tensor storage = s.tensor({rows, V}, x.dtype());
  for (std::size_t begin = 0; begin < N; begin += rows) {
    const std::size_t end = std::min(N, begin + rows);
    const Tensor x_chunk = x.slice(begin, end);
    Tensor dx_chunk = gradients.dx.slice(begin, end);
    Tensor logits = storage.slice(0, end - begin);
    matmul(s, logits, x_chunk, w, Transpose::b, Into::replace);
    rows_backward(s, loss.slice(begin, end), logits, targets.slice(begin, end), gradients.scale);
    matmul(s, dx_chunk, logits, w, Transpose::none, Into::replace);
    matmul(s, gradients.dw, logits, x_chunk, Transpose::a, Into::accumulate);
  }
}

}  // namespace motley::op
