// Rotary position embedding. Sizes: {B, T, H, G, D}.
#include <cmath>

#include "kernels/ops.h"
#include "tests/ops/op_case.h"

namespace motley::test {
namespace {

/// Cosines and sines of T + 2 positions, which is more than a sequence needs, rounded to float.
HostTensor angle_table(std::size_t T, std::size_t D) {
  HostTensor table{{T + 2, D}, Dtype::f32, std::vector<double>((T + 2) * D)};
  for (std::size_t t = 0; t < T + 2; ++t) {
    for (std::size_t i = 0; i < D / 2; ++i) {
      const double angle = static_cast<double>(t) /
                           std::pow(10000.0, 2.0 * static_cast<double>(i) / static_cast<double>(D));
      table.values[t * D + i] = static_cast<double>(static_cast<float>(std::cos(angle)));
      table.values[t * D + D / 2 + i] = static_cast<double>(static_cast<float>(std::sin(angle)));
    }
  }
  return table;
}

void rotate_on_host(const op::AttentionShape& shape, std::vector<double>& qkv,
                    const std::vector<double>& table) {
  const std::size_t half = shape.D / 2;
  for (std::size_t n = 0; n < shape.B * shape.T; ++n) {
    const double* angles = &table[n % shape.T * shape.D];
    for (std::size_t head = 0; head < shape.H + shape.G; ++head) {
      double* x = &qkv[(n * (shape.H + 2 * shape.G) + head) * shape.D];
      for (std::size_t i = 0; i < half; ++i) {
        const double a = x[i];
        const double b = x[i + half];
        x[i] = a * angles[i] - b * angles[half + i];
        x[i + half] = b * angles[i] + a * angles[half + i];
      }
    }
  }
}

Problem make_rope(const Sizes& sizes) {
  const op::AttentionShape shape{
      .B = sizes[0], .T = sizes[1], .H = sizes[2], .G = sizes[3], .D = sizes[4]};
  const std::size_t N = shape.B * shape.T;
  const std::size_t width = (shape.H + 2 * shape.G) * shape.D;
  Problem p;
  p.inputs = {random_activation({N, width}, 1), angle_table(shape.T, shape.D)};
  p.outputs = {activation({N, width})};
  p.run = [shape](Stream& s, std::vector<Tensor>& out, const std::vector<Tensor>& in) {
    s.copy(out[0], in[0]);
    op::rope(s, out[0], in[1], shape);
  };
  p.reference = [shape](std::vector<HostTensor>& out, const std::vector<HostTensor>& in) {
    out[0].values = in[0].values;
    rotate_on_host(shape, out[0].values, in[1].values);
  };
  p.depth = 2;
  p.run_backward = [shape](Stream& s, std::vector<Tensor>& gradients, const Tensor& dy,
                           const std::vector<Tensor>&, const std::vector<Tensor>& in) {
    s.copy(gradients[0], dy);
    op::rope_backward(s, gradients[0], in[1], shape);
  };
  p.gradients_of = {{.input = 0}};
  const double rotated = static_cast<double>(N * (shape.H + shape.G) * shape.D);
  p.flops = 3 * rotated;
  p.backward_flops = 3 * rotated;
  p.bytes = 8 * rotated;
  p.backward_bytes = 8 * rotated;
  return p;
}

const Registered rope({.name = "rope",
                       .ops = {"rope", "rope_backward"},
                       .test_sizes = {{0, 3, 1, 1, 4},
                                      {1, 1, 1, 1, 2},
                                      {2, 17, 2, 1, 8},
                                      {1, 33, 4, 2, 20},
                                      {3, 5, 9, 3, 64},
                                      {2, 3, 7, 7, 66},
                                      {1, 13, 2, 2, 128}},
                       .oclgrind_sizes = {{2, 3, 2, 1, 6}},
                       .bench_sizes = {{8, 256, 6, 6, 64}},
                       .make = make_rope,
                       .has_activations = true});

}  // namespace
}  // namespace motley::test
