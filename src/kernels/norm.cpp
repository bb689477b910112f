// Root-mean-square and layer normalisation.
#include "kernels/check.h"
#include "kernels/generated.h"
#include "kernels/ops.h"
#include "kernels/partials.h"

namespace motley::op {
namespace {

// norm.clh and norm_gpu.cl have the same numbers.
constexpr std::size_t block_rows = 32;
constexpr std::size_t cpu_rows = 8;
constexpr std::size_t gpu_group = 128;

/// Whether y is so large that little of it would be found in a cache by the op that reads it.
std::uint32_t passes_caches(Stream& s, const Tensor& y) {
  const std::size_t cache = s.device().info().cache_bytes;
  return cache > 0 && y.bytes() > cache ? 1 : 0;
}

Grid row_grid(Stream& s, std::size_t N) {
  if (s.device().family() == KernelFamily::cpu) return {.groups = {ceil_div(N, cpu_rows), 1, 1}};
  return {.groups = {N, 1, 1}, .local = {gpu_group, 1, 1}};
}

Grid block_grid(std::size_t blocks, std::size_t C) {
  return {.groups = {blocks, ceil_div(C, gpu_group), 1}, .local = {1, gpu_group, 1}};
}

}  // namespace

void rms_norm(Stream& s, Tensor& y, Tensor& rstd, const Tensor& x, const Tensor& w, float eps) {
  check_rank("rms_norm", "x", x, 2);
  const std::size_t N = x.dim(0);
  const auto C = narrow<std::uint32_t>(x.dim(1));
  check_tensor("rms_norm", "y", y, x.shape(), x.dtype());
  check_tensor("rms_norm", "rstd", rstd, {N});
  check_tensor("rms_norm", "w", w, {C});
  const Grid grid = row_grid(s, N);
  if (s.device().family() == KernelFamily::cpu) {
    launch(s, grid,
           k::rms_norm_fwd_cpu{.y = y,
                               .rstd = rstd,
                               .x = x,
                               .w = w,
                               .N = narrow<std::uint32_t>(N),
                               .C = C,
                               .eps = eps,
                               .past = passes_caches(s, y)});
  } else {
    launch(s, grid, k::rms_norm_fwd_gpu{.y = y, .rstd = rstd, .x = x, .w = w, .C = C, .eps = eps});
  }
}

void rms_norm_backward(Stream& s, Tensor& dx, Tensor& dw, Tensor& dy, const Tensor& x,
                       const Tensor& w, const Tensor& rstd, Into into) {
  check_rank("rms_norm_backward", "x", x, 2);
  const auto N = narrow<std::uint32_t>(x.dim(0));
  const auto C = narrow<std::uint32_t>(x.dim(1));
  check_tensor("rms_norm_backward", "dx", dx, x.shape(), x.dtype());
  check_tensor("rms_norm_backward", "dw", dw, {C});
  check_tensor("rms_norm_backward", "dy", dy, x.shape(), x.dtype());
  check_tensor("rms_norm_backward", "w", w, {C});
  check_tensor("rms_norm_backward", "rstd", rstd, {N});
  const std::uint32_t accumulate = into == Into::accumulate ? 1 : 0;
  Tensor partial = s.tensor({ceil_div(N, block_rows), 1, C});
  if (s.device().family() == KernelFamily::cpu) {
    launch(s, {.groups = {partial.dim(0), 1, 1}},
           k::rms_norm_bwd_cpu{.dx = dx,
                               .partial = partial,
                               .dy = dy,
                               .x = x,
                               .w = w,
                               .rstd = rstd,
                               .N = N,
                               .C = C,
                               .accumulate = accumulate});
  } else {
    // First, because the other overwrites dy.
    launch(
        s, block_grid(partial.dim(0), C),
        k::rms_norm_bwd_dw_gpu{.partial = partial, .dy = dy, .x = x, .rstd = rstd, .N = N, .C = C});
    launch(s, row_grid(s, N),
           k::rms_norm_bwd_dx_gpu{
               .dx = dx, .dy = dy, .x = x, .w = w, .rstd = rstd, .C = C, .accumulate = accumulate});
  }
  add_partials(s, dw, partial, 0);
}

void layer_norm(Stream& s, Tensor& y, LayerNormSaved& saved, const Tensor& x, const Tensor& w,
                const Tensor& b, float eps) {
  check_rank("layer_norm", "x", x, 2);
  const std::size_t N = x.dim(0);
  const auto C = narrow<std::uint32_t>(x.dim(1));
  check_tensor("layer_norm", "y", y, x.shape(), x.dtype());
  check_tensor("layer_norm", "mean", saved.mean, {N});
  check_tensor("layer_norm", "rstd", saved.rstd, {N});
  check_tensor("layer_norm", "w", w, {C});
  check_tensor("layer_norm", "b", b, {C});
  const Grid grid = row_grid(s, N);
  if (s.device().family() == KernelFamily::cpu) {
    launch(s, grid,
           k::layer_norm_fwd_cpu{.y = y,
                                 .mean = saved.mean,
                                 .rstd = saved.rstd,
                                 .x = x,
                                 .w = w,
                                 .b = b,
                                 .N = narrow<std::uint32_t>(N),
                                 .C = C,
                                 .eps = eps,
                                 .past = passes_caches(s, y)});
  } else {
    launch(s, grid,
           k::layer_norm_fwd_gpu{.y = y,
                                 .mean = saved.mean,
                                 .rstd = saved.rstd,
                                 .x = x,
                                 .w = w,
                                 .b = b,
                                 .C = C,
                                 .eps = eps});
  }
}

void layer_norm_backward(Stream& s, Tensor& dx, LayerNormGradients gradients, Tensor& dy,
                         const LayerNormInputs& inputs, const LayerNormSaved& saved, Into into) {
  const auto& [x, w, bias] = inputs;
  check_rank("layer_norm_backward", "x", x, 2);
  const auto N = narrow<std::uint32_t>(x.dim(0));
  const auto C = narrow<std::uint32_t>(x.dim(1));
  check_tensor("layer_norm_backward", "dx", dx, x.shape(), x.dtype());
  check_tensor("layer_norm_backward", "dw", gradients.dw, {C});
  check_tensor("layer_norm_backward", "db", gradients.db, {C});
  check_tensor("layer_norm_backward", "dy", dy, x.shape(), x.dtype());
  check_tensor("layer_norm_backward", "w", w, {C});
  check_tensor("layer_norm_backward", "b", bias, {C});
  check_tensor("layer_norm_backward", "mean", saved.mean, {N});
  check_tensor("layer_norm_backward", "rstd", saved.rstd, {N});
  const std::uint32_t accumulate = into == Into::accumulate ? 1 : 0;
  Tensor partial = s.tensor({ceil_div(N, block_rows), 2, C});
  if (s.device().family() == KernelFamily::cpu) {
    launch(s, {.groups = {partial.dim(0), 1, 1}},
           k::layer_norm_bwd_cpu{.dx = dx,
                                 .partial = partial,
                                 .dy = dy,
                                 .x = x,
                                 .w = w,
                                 .b = bias,
                                 .mean = saved.mean,
                                 .rstd = saved.rstd,
                                 .N = N,
                                 .C = C,
                                 .accumulate = accumulate});
  } else {
    // First, because the other overwrites dy.
    launch(s, block_grid(partial.dim(0), C),
           k::layer_norm_bwd_dw_gpu{.partial = partial,
                                    .dy = dy,
                                    .x = x,
                                    .mean = saved.mean,
                                    .rstd = saved.rstd,
                                    .N = N,
                                    .C = C});
    launch(s, row_grid(s, N),
           k::layer_norm_bwd_dx_gpu{.dx = dx,
                                    .dy = dy,
                                    .x = x,
                                    .w = w,
                                    .b = bias,
                                    .mean = saved.mean,
                                    .rstd = saved.rstd,
                                    .C = C,
                                    .accumulate = accumulate});
  }
  add_partials(s, gradients.dw, partial, 0);
  add_partials(s, gradients.db, partial, 1);
}

}  // namespace motley::op
