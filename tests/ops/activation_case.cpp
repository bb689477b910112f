// SwiGLU, sizes {N, F}, and both forms of GELU, sizes {N, F}. Values far out are in
// tests/kernels/activation_test.cpp, which looks at each element by itself.
#include <cmath>
#include <numbers>

#include "kernels/ops.h"
#include "tests/ops/op_case.h"

namespace motley::test {
namespace {

// Wide enough for both tails: at -6 both activations are near zero.
constexpr double input_scale = 6;
// One exp, a division and a few products.
constexpr double activation_depth = 12;

// Around sixteen lanes, 256 work-items and 4096 elements a work-item.
const std::vector<Sizes> edge_sizes = {{0, 8},    {1, 1},    {2, 3},    {3, 15},
                                       {1, 16},   {5, 17},   {7, 64},   {4, 97},
                                       {3, 1365}, {1, 4096}, {1, 4097}, {129, 257}};

Problem make_swiglu(const Sizes& sizes) {
  const std::size_t N = sizes[0];
  const std::size_t F = sizes[1];
  Problem p;
  p.inputs = {random_activation({N, 2 * F}, 1, input_scale)};
  p.outputs = {activation({N, F})};
  p.run = [](Stream& s, std::vector<Tensor>& out, const std::vector<Tensor>& in) {
    op::swiglu(s, out[0], in[0]);
  };
  p.reference = [N, F](std::vector<HostTensor>& out, const std::vector<HostTensor>& in) {
    for (std::size_t n = 0; n < N; ++n) {
      for (std::size_t f = 0; f < F; ++f) {
        const double gate = in[0].values[n * 2 * F + f];
        const double up = in[0].values[n * 2 * F + F + f];
        out[0].values[n * F + f] = gate / (1 + std::exp(-gate)) * up;
      }
    }
  };
  p.depth = activation_depth;
  p.run_backward = [](Stream& s, std::vector<Tensor>& gradients, Tensor& dy,
                      const std::vector<Tensor>&, const std::vector<Tensor>& in) {
    s.copy(gradients[0], in[0]);
    op::swiglu_backward(s, gradients[0], dy);
  };
  p.gradients_of = {{.input = 0}};
  p.dy_becomes_output = true;
  p.flops = 5.0 * static_cast<double>(N * F);
  p.bytes = 12.0 * static_cast<double>(N * F);
  p.backward_bytes = 24.0 * static_cast<double>(N * F);
  return p;
}

double gelu_reference(double x, op::Gelu kind) {
  if (kind == op::Gelu::erf) return 0.5 * x * std::erfc(-x / std::numbers::sqrt2);
  const double u = std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
  return 0.5 * x * (1 + std::tanh(u));
}

Problem make_gelu(const Sizes& sizes, op::Gelu kind) {
  const Shape shape{sizes[0], sizes[1]};
  Problem p;
  p.inputs = {random_activation(shape, 1, input_scale)};
  p.outputs = {activation(shape)};
  p.run = [kind](Stream& s, std::vector<Tensor>& out, const std::vector<Tensor>& in) {
    op::gelu(s, out[0], in[0], kind);
  };
  p.reference = [kind](std::vector<HostTensor>& out, const std::vector<HostTensor>& in) {
    for (std::size_t i = 0; i < in[0].values.size(); ++i) {
      out[0].values[i] = gelu_reference(in[0].values[i], kind);
    }
  };
  p.depth = activation_depth;
  p.run_backward = [kind](Stream& s, std::vector<Tensor>& gradients, Tensor& dy,
                          const std::vector<Tensor>&, const std::vector<Tensor>& in) {
    s.copy(gradients[0], in[0]);
    op::gelu_backward(s, gradients[0], dy, kind);
  };
  p.gradients_of = {{.input = 0}};
  p.dy_becomes_output = true;
  p.flops = 9.0 * static_cast<double>(shape.size());
  p.bytes = 8.0 * static_cast<double>(shape.size());
  p.backward_bytes = 16.0 * static_cast<double>(shape.size());
  return p;
}

const Registered swiglu({.name = "swiglu",
                         .ops = {"swiglu", "swiglu_backward"},
                         .test_sizes = edge_sizes,
                         .oclgrind_sizes = {{2, 17}, {3, 5}},
                         .bench_sizes = {{2048, 1024}, {2048, 2048}},
                         .make = make_swiglu,
                         .has_activations = true});

const Registered gelu_tanh({.name = "gelu_tanh",
                            .ops = {"gelu", "gelu_backward"},
                            .test_sizes = edge_sizes,
                            .oclgrind_sizes = {{2, 17}, {3, 5}},
                            .bench_sizes = {{2048, 1536}, {2048, 3072}},
                            .make =
                                [](const Sizes& sizes) { return make_gelu(sizes, op::Gelu::tanh); },
                            .has_activations = true});

const Registered gelu_erf({.name = "gelu_erf",
                           .ops = {"gelu", "gelu_backward"},
                           .test_sizes = edge_sizes,
                           .oclgrind_sizes = {{2, 17}, {3, 5}},
                           .bench_sizes = {{2048, 1536}, {2048, 3072}},
                           .make =
                               [](const Sizes& sizes) { return make_gelu(sizes, op::Gelu::erf); },
                           .has_activations = true});

}  // namespace
}  // namespace motley::test
