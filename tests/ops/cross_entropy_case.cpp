// The head and its loss. Sizes: {N, C, V}. Every seventh target is ignored.
#include <cmath>

#include "kernels/ops.h"
#include "tensor/device.h"
#include "tests/ops/host_matrix.h"

namespace motley::test {
namespace {

HostTensor make_targets(std::size_t N, std::size_t V) {
  HostTensor targets = random_integers({N}, 3, V);
  for (std::size_t n = 6; n < N; n += 7) targets.values[n] = op::ignored_target;
  return targets;
}

void reference(std::vector<HostTensor>& out, const std::vector<HostTensor>& in) {
  const RowMajor logits = matrix(in[0]) * matrix(in[1]).transpose();
  for (Eigen::Index n = 0; n < logits.rows(); ++n) {
    const double target = in[2].values[static_cast<std::size_t>(n)];
    double& loss = out[0].values[static_cast<std::size_t>(n)];
    loss = 0;
    if (target == op::ignored_target) continue;
    const double largest = logits.row(n).maxCoeff();
    const double total = (logits.row(n).array() - largest).exp().sum();
    loss = std::log(total) + largest - logits(n, static_cast<Eigen::Index>(target));
  }
}

Problem make_cross_entropy(const Sizes& sizes) {
  const std::size_t N = sizes[0];
  const std::size_t C = sizes[1];
  const std::size_t V = sizes[2];
  Problem p;
  p.inputs = {random_activation({N, C}, 1), random_tensor({V, C}, 2), make_targets(N, V)};
  p.outputs = {{{N}}};
  p.run = [](Stream& s, std::vector<Tensor>& out, const std::vector<Tensor>& in) {
    op::linear_cross_entropy(s, out[0], in[0], in[1], in[2]);
  };
  p.reference = reference;
  p.run_backward = [N](Stream& s, std::vector<Tensor>& gradients, const Tensor&,
                       const std::vector<Tensor>&, const std::vector<Tensor>& in) {
    Tensor loss = s.device().tensor({N});
    op::linear_cross_entropy_with_gradient(s, loss, {.dx = gradients[0], .dw = gradients[1]}, in[0],
                                           in[1], in[2]);
  };
  p.gradients_of = {{.input = 0, .depth = static_cast<double>(V + 16)},
                    {.input = 1, .accumulates = true, .depth = static_cast<double>(N + 16)}};
  p.dy = std::vector<double>(N, 1.0);
  p.depth = static_cast<double>(C + 16) + static_cast<double>(V) / 16;
  p.min_scale = 1;
  // In bf16 a logit, about sqrt(C) / 3 in size, passes its rounding on to the loss and to the
  // probabilities; their gradients, at most 1, are rounded as well.
  p.stored_roundings = 1 + std::sqrt(static_cast<double>(C)) / 3;
  p.flops = 2.0 * static_cast<double>(N * C * V);
  p.bytes = 4.0 * static_cast<double>(N * C + V * C);
  return p;
}

const Registered cross_entropy({.name = "cross_entropy",
                                .ops = {"linear_cross_entropy",
                                        "linear_cross_entropy_with_gradient"},
                                .test_sizes = {{0, 4, 5},
                                               {1, 1, 1},
                                               {3, 5, 1},
                                               {2, 3, 15},
                                               {8, 16, 16},
                                               {9, 12, 17},
                                               {13, 33, 255},
                                               {31, 7, 257},
                                               {64, 64, 65}},
                                .oclgrind_sizes = {{7, 3, 17}, {2, 2, 1}},
                                .bench_sizes = {{2048, 384, 8192}},
                                .make = make_cross_entropy,
                                .has_activations = true});

}  // namespace
}  // namespace motley::test
