// Causal attention. Sizes: {B, T, H, G, D}.
#include <cmath>

#include "kernels/ops.h"
#include "tests/ops/op_case.h"

namespace motley::test {
namespace {

op::AttentionShape shape_of(const Sizes& sizes) {
  return {.B = sizes[0], .T = sizes[1], .H = sizes[2], .G = sizes[3], .D = sizes[4]};
}

/// Attention of one query, plainly: all its probabilities are in memory.
struct QueryReference {
  const op::AttentionShape& shape;
  const std::vector<double>& qkv;

  const double* row(std::size_t b, std::size_t t, std::size_t head) const {
    const std::size_t width = (shape.H + 2 * shape.G) * shape.D;
    return &qkv[(b * shape.T + t) * width + head * shape.D];
  }

  /// Writes D numbers to y and returns the logarithm of the sum of exponentials.
  double compute(double* y, std::size_t b, std::size_t t, std::size_t h) const {
    const std::size_t g = h / (shape.H / shape.G);
    const double* query = row(b, t, h);
    std::vector<double> p(t + 1);
    double maximum = -HUGE_VAL;
    for (std::size_t k = 0; k <= t; ++k) {
      const double* key = row(b, k, shape.H + g);
      for (std::size_t d = 0; d < shape.D; ++d) p[k] += query[d] * key[d];
      p[k] /= std::sqrt(static_cast<double>(shape.D));
      maximum = std::max(maximum, p[k]);
    }
    double total = 0;
    for (double& value : p) total += value = std::exp(value - maximum);
    for (std::size_t d = 0; d < shape.D; ++d) y[d] = 0;
    for (std::size_t k = 0; k <= t; ++k) {
      const double* value = row(b, k, shape.H + shape.G + g);
      for (std::size_t d = 0; d < shape.D; ++d) y[d] += p[k] / total * value[d];
    }
    return maximum + std::log(total);
  }
};

Problem make_attention(const Sizes& sizes) {
  const op::AttentionShape shape = shape_of(sizes);
  const auto [B, T, H, G, D] = shape;
  const std::size_t N = B * T;
  Problem p;
  p.inputs = {random_activation({N, (H + 2 * G) * D}, 1)};
  p.outputs = {activation({N, H * D}), {{B, H, T}}};
  p.run = [shape](Stream& s, std::vector<Tensor>& out, const std::vector<Tensor>& in) {
    op::attention(s, out[0], out[1], in[0], shape);
  };
  p.reference = [shape](std::vector<HostTensor>& out, const std::vector<HostTensor>& in) {
    const QueryReference reference{shape, in[0].values};
    for (std::size_t b = 0; b < shape.B; ++b) {
      for (std::size_t t = 0; t < shape.T; ++t) {
        for (std::size_t h = 0; h < shape.H; ++h) {
          double* y = &out[0].values[((b * shape.T + t) * shape.H + h) * shape.D];
          out[1].values[(b * shape.H + h) * shape.T + t] = reference.compute(y, b, t, h);
        }
      }
    }
  };
  // A logit is a sum of D products, an output a sum of T.
  p.depth = static_cast<double>(D + T);
  // A matrix unit multiplies probabilities that are rounded to bf16 as well.
  p.stored_roundings = 1;
  p.run_backward = [shape](Stream& s, std::vector<Tensor>& gradients, const Tensor& dy,
                           const std::vector<Tensor>& out, const std::vector<Tensor>& in) {
    op::attention_backward(s, gradients[0], dy, {.y = out[0], .lse = out[1], .qkv = in[0]}, shape);
  };
  // A gradient of a key is a sum over the queries of H / G heads. In bf16 it passes on the rounding
  // of y, half a unit, from sums of dy * y; with a matrix unit those of its factors, too.
  p.gradients_of = {
      {.input = 0, .depth = static_cast<double>(2 * D + T * H / G), .stored_roundings = 2}};
  // What causality leaves of the T x T products; backward has five of them where forward has two.
  const double products = static_cast<double>(B * H * D * T * (T + 1) / 2);
  p.flops = 4 * products;
  p.backward_flops = 10 * products;
  p.bytes = 4.0 * static_cast<double>(N * (2 * H + 2 * G) * D);
  p.backward_bytes = 4.0 * static_cast<double>(N * (4 * H + 4 * G) * D);
  return p;
}

// Few head sizes, because each is a program of its own: less than a vector, whole vectors with a
// tail, whole vectors, and one whose tiles on GPUs are smaller. Lengths: 1, primes, the edges of
// blocks of 16, 32 and 64, and two and four spans of keys of CPUs.
const Registered attention(
    {.name = "attention",
     .ops = {"attention", "attention_backward"},
     .test_sizes = {{1, 1, 1, 1, 1},
                    {2, 16, 2, 1, 1},
                    {3, 1, 2, 2, 20},
                    {1, 15, 3, 1, 20},
                    {2, 17, 2, 1, 20},
                    {1, 33, 4, 2, 20},
                    {1, 65, 2, 1, 20},
                    {1, 64, 2, 2, 64},
                    {2, 31, 6, 3, 64},
                    {1, 97, 3, 1, 64},
                    {1, 48, 1, 1, 128},
                    {2, 257, 4, 2, 64},
                    {1, 1041, 1, 1, 20}},
     .oclgrind_sizes = {{1, 1, 1, 1, 20}, {2, 17, 2, 1, 20}, {1, 3, 1, 1, 16}},
     .bench_sizes = {{8, 256, 6, 6, 64}, {1, 1024, 12, 12, 64}, {2, 1024, 8, 2, 64}},
     .make = make_attention,
     .has_activations = true});

}  // namespace
}  // namespace motley::test
