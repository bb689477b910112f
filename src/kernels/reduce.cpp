// Sums over whole tensors and the control of the update. Chunks of a fixed size are summed to one
// partial each, those again by chunks until one number is left: the order of additions depends on
// the number of elements alone, and rounding errors grow with the depth of the tree, not with the
// size.
#include "kernels/check.h"
#include "kernels/generated.h"
#include "kernels/ops.h"

namespace motley::op {
namespace {

// reduce.clh and reduce_gpu.cl have the same numbers.
constexpr std::size_t chunk_elements = squares_chunk;
constexpr std::size_t gpu_group = 256;

/// One chunk at least: the sum of nothing is 0.
std::size_t num_chunks(std::size_t size) {
  return size == 0 ? 1 : ceil_div(size, chunk_elements);
}

bool uses_cpu_kernels(Stream& s) {
  return s.device().family() == KernelFamily::cpu;
}

Grid grid_for(Stream& s, std::size_t chunks) {
  if (uses_cpu_kernels(s)) return {.groups = {chunks, 1, 1}};
  return {.groups = {chunks, 1, 1}, .local = {gpu_group, 1, 1}};
}

/// The sums of x's chunks, [chunks].
Tensor sum_chunks(Stream& s, const Tensor& x) {
  Tensor partial = s.tensor({num_chunks(x.size())});
  const std::uint64_t size = x.size();
  const Grid grid = grid_for(s, partial.size());
  if (uses_cpu_kernels(s)) {
    launch(s, grid, k::sum_chunks_cpu{.partial = partial, .x = x, .size = size});
  } else {
    launch(s, grid, k::sum_chunks_gpu{.partial = partial, .x = x, .size = size});
  }
  return partial;
}

}  // namespace

void sum(Stream& s, Tensor& out, const Tensor& x, Into into) {
  check_tensor("sum", "x", x, x.shape());
  check_tensor("sum", "out", out, {1});
  Tensor partial = sum_chunks(s, x);
  while (partial.size() > 1) partial = sum_chunks(s, partial);
  const std::uint32_t accumulate = into == Into::accumulate ? 1 : 0;
  launch(s, {}, k::store_sum{.out = out, .value = partial, .accumulate = accumulate});
}

void chunk_squares(Stream& s, Tensor& squares, Tensor& counts, const Tensor& x) {
  check_tensor("chunk_squares", "x", x, x.shape());
  check_tensor("chunk_squares", "squares", squares, {num_chunks(x.size())});
  check_tensor("chunk_squares", "counts", counts, squares.shape());
  const std::uint64_t size = x.size();
  const Grid grid = grid_for(s, squares.size());
  if (uses_cpu_kernels(s)) {
    launch(s, grid,
           k::sum_squares_chunks_cpu{.squares = squares, .counts = counts, .x = x, .size = size});
  } else {
    launch(s, grid,
           k::sum_squares_chunks_gpu{.squares = squares, .counts = counts, .x = x, .size = size});
  }
}

void clip_factor(Stream& s, UpdateControl& control, const Tensor& partials, float max_norm) {
  check_rank("clip_factor", "partials", partials, 2);
  check_tensor("clip_factor", "partials", partials, {partials.dim(0), 2});
  check_tensor("clip_factor", "control", control, {control_size});
  launch(s, {},
         k::clip_factor_control{.control = control,
                                .partials = partials,
                                .P = narrow<std::uint32_t>(partials.dim(0)),
                                .max_norm = max_norm});
}

}  // namespace motley::op
