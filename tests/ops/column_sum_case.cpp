// Sums of columns, added to what is there. Sizes: {N, C}.
#include "kernels/ops.h"
#include "tests/ops/host_matrix.h"

namespace motley::test {
namespace {

Problem make_column_sum(const Sizes& sizes) {
  const std::size_t N = sizes[0];
  const std::size_t C = sizes[1];
  Problem p;
  p.inputs = {random_activation({N, C}, 1)};
  p.outputs = {random_tensor({C}, 2)};
  p.run = [](Stream& s, std::vector<Tensor>& out, const std::vector<Tensor>& in) {
    op::column_sum(s, out[0], in[0]);
  };
  p.reference = [](std::vector<HostTensor>& out, const std::vector<HostTensor>& in) {
    // Eigen makes a pointer beyond an empty matrix.
    if (in[0].values.empty()) return;
    row_vector(out[0]) += matrix(in[0]).colwise().sum();
  };
  p.depth = static_cast<double>(N + 1);
  p.min_scale = 1;
  p.flops = static_cast<double>(N * C);
  p.bytes = 4.0 * static_cast<double>(N * C + 2 * C);
  return p;
}

const Registered column_sum(
    {.name = "column_sum",
     .ops = {"column_sum"},
     .test_sizes =
         {{0, 5}, {1, 1}, {3, 15}, {4, 16}, {5, 17}, {127, 63}, {128, 64}, {129, 65}, {1031, 131}},
     .oclgrind_sizes = {{5, 17}, {130, 3}},
     .bench_sizes = {{2048, 384}, {2048, 1536}},
     .make = make_column_sum,
     .has_activations = true});

}  // namespace
}  // namespace motley::test
