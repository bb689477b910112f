// The linear layer. Sizes: {N, O, I, 1 for a bias, 1 to add to what is there}; the last counts for
// y and for dx.
#include <algorithm>
#include <cmath>

#include "kernels/ops.h"
#include "tests/ops/host_matrix.h"

namespace motley::test {
namespace {

Problem make_linear(const Sizes& sizes) {
  const std::size_t N = sizes[0];
  const std::size_t O = sizes[1];
  const std::size_t I = sizes[2];
  const bool has_bias = sizes[3] != 0;
  const bool accumulates = sizes[4] != 0;
  const op::Into into = accumulates ? op::Into::accumulate : op::Into::replace;
  Problem p;
  p.inputs = {random_activation({N, I}, 1), random_tensor({O, I}, 2)};
  if (has_bias) p.inputs.push_back(random_tensor({O}, 3));
  p.outputs = {activation({N, O})};
  if (accumulates) p.outputs[0] = random_activation({N, O}, 4);
  p.run = [=](Stream& s, std::vector<Tensor>& out, const std::vector<Tensor>& in) {
    op::linear(s, out[0], in[0], in[1], has_bias ? &in[2] : nullptr, into);
  };
  p.reference = [=](std::vector<HostTensor>& out, const std::vector<HostTensor>& in) {
    matrix(out[0]) += matrix(in[0]) * matrix(in[1]).transpose();
    if (has_bias) matrix(out[0]).rowwise() += row_vector(in[2]);
  };
  p.run_backward = [=](Stream& s, std::vector<Tensor>& gradients, const Tensor& dy,
                       const std::vector<Tensor>&, const std::vector<Tensor>& in) {
    op::linear_backward(
        s, {.dx = &gradients[0], .dw = &gradients[1], .dbias = has_bias ? &gradients[2] : nullptr},
        dy, &in[0], in[1], into);
  };
  p.gradients_of = {{.input = 0, .accumulates = accumulates, .depth = static_cast<double>(O + 1)},
                    {.input = 1, .accumulates = true, .depth = static_cast<double>(N + 1)}};
  if (has_bias) {
    p.gradients_of.push_back(
        {.input = 2, .accumulates = true, .depth = static_cast<double>(N + 1)});
  }
  p.depth = static_cast<double>(I + 2);
  // The typical size of the shortest of the three sums.
  p.min_scale = std::sqrt(static_cast<double>(std::min({N, O, I})) / 9);
  p.flops = 2.0 * static_cast<double>(N * O * I);
  p.bytes = 4.0 * static_cast<double>(N * I + O * I + N * O);
  return p;
}

const Registered linear({.name = "linear",
                         .ops = {"linear", "linear_backward"},
                         .test_sizes = {{0, 3, 4, 1, 0},
                                        {1, 1, 1, 0, 0},
                                        {2, 3, 5, 1, 1},
                                        {11, 31, 13, 1, 0},
                                        {12, 32, 16, 0, 1},
                                        {13, 33, 12, 1, 1},
                                        {63, 65, 64, 1, 0},
                                        {65, 64, 63, 1, 1},
                                        {131, 97, 67, 1, 0}},
                         .oclgrind_sizes = {{5, 33, 3, 1, 1}, {13, 2, 17, 0, 0}},
                         .bench_sizes = {{2048, 1536, 384, 1, 0}, {2048, 384, 1536, 1, 1}},
                         .make = make_linear,
                         .has_activations = true});

}  // namespace
}  // namespace motley::test
