// RMSNorm and LayerNorm. Sizes: {N, C, offset}: rows, columns, and what is added to every x, which
// a variance computed in one pass would not survive.
#include <algorithm>
#include <cmath>

#include "kernels/ops.h"
#include "tests/ops/op_case.h"

namespace motley::test {
namespace {

constexpr float epsilon = 1e-5f;

const std::vector<Sizes> edge_sizes = {{0, 8, 0},    {1, 1, 0},     {2, 2, 0},   {3, 5, 0},
                                       {2, 15, 0},   {3, 16, 0},    {5, 17, 0},  {4, 63, 0},
                                       {7, 64, 0},   {13, 65, 0},   {31, 31, 0}, {33, 127, 0},
                                       {65, 129, 0}, {129, 257, 0}, {9, 64, 100}};
const std::vector<Sizes> tiny_sizes = {{2, 17, 0}, {33, 3, 0}, {1, 1, 0}};
const std::vector<Sizes> bench_sizes = {{2048, 384, 0}, {2048, 768, 0}, {4096, 2048, 0}};

enum class Kind { rms, layer };

double mean_of(const double* x, std::size_t C) {
  double total = 0;
  for (std::size_t c = 0; c < C; ++c) total += x[c];
  return total / static_cast<double>(C);
}

/// Inputs x, w, b; outputs y, rstd, mean. RMSNorm has neither b nor mean.
void reference(Kind kind, std::vector<HostTensor>& out, const std::vector<HostTensor>& in) {
  const std::size_t N = in[0].shape[0];
  const std::size_t C = in[0].shape[1];
  for (std::size_t n = 0; n < N; ++n) {
    const double* x = &in[0].values[n * C];
    const double mean = kind == Kind::layer ? mean_of(x, C) : 0;
    double squares = 0;
    for (std::size_t c = 0; c < C; ++c) squares += (x[c] - mean) * (x[c] - mean);
    const double rstd =
        1 / std::sqrt(squares / static_cast<double>(C) + static_cast<double>(epsilon));
    out[1].values[n] = rstd;
    if (kind == Kind::layer) out[2].values[n] = mean;
    for (std::size_t c = 0; c < C; ++c) {
      const double b = kind == Kind::layer ? in[2].values[c] : 0;
      out[0].values[n * C + c] = (x[c] - mean) * rstd * in[1].values[c] + b;
    }
  }
}

Problem make_norm(Kind kind, const Sizes& sizes) {
  const std::size_t N = sizes[0];
  const std::size_t C = sizes[1];
  const auto offset = static_cast<float>(sizes[2]);
  Problem p;
  p.inputs = {random_activation({N, C}, 1), random_tensor({C}, 2, 2.0)};
  p.outputs = {activation({N, C}), {{N}}};
  if (kind == Kind::layer) {
    p.inputs.push_back(random_tensor({C}, 3));
    p.outputs.push_back({{N}});
  }
  for (double& x : p.inputs[0].values) x = static_cast<double>(static_cast<float>(x) + offset);
  p.reference = [kind](auto& out, const auto& in) { reference(kind, out, in); };
  p.depth = static_cast<double>(C) / 16 + 16;
  // dx is a difference of terms of about rstd * dy * w, and x - mean carries the rounding of x.
  std::vector<HostTensor> expected = p.outputs;
  for (HostTensor& t : expected) t.values.resize(t.shape.size());
  p.reference(expected, p.inputs);
  for (const double rstd : expected[1].values) {
    p.min_scale = std::max(p.min_scale, 2 * rstd * (1 + static_cast<double>(offset)));
  }
  const double elements = static_cast<double>(N * C);
  p.flops = (kind == Kind::layer ? 8 : 4) * elements;
  p.bytes = 8 * elements;
  p.backward_flops = (kind == Kind::layer ? 14 : 11) * elements;
  p.backward_bytes = 16 * elements;
  p.dy_becomes_output = true;
  return p;
}

Problem make_rms_norm(const Sizes& sizes, op::Into into) {
  Problem p = make_norm(Kind::rms, sizes);
  p.run = [](Stream& s, auto& out, const auto& in) {
    op::rms_norm(s, out[0], out[1], in[0], in[1], epsilon);
  };
  p.run_backward = [into](Stream& s, auto& gradients, Tensor& dy, const auto& out, const auto& in) {
    op::rms_norm_backward(s, gradients[0], gradients[1], dy, in[0], in[1], out[1], into);
  };
  p.gradients_of = {{.input = 0, .accumulates = into == op::Into::accumulate},
                    {.input = 1, .accumulates = true, .depth = p.depth + 32}};
  return p;
}

Problem make_layer_norm(const Sizes& sizes, op::Into into) {
  Problem p = make_norm(Kind::layer, sizes);
  p.run = [](Stream& s, auto& out, const auto& in) {
    op::LayerNormSaved saved{out[2], out[1]};
    op::layer_norm(s, out[0], saved, in[0], in[1], in[2], epsilon);
  };
  p.run_backward = [into](Stream& s, auto& gradients, Tensor& dy, const auto& out, const auto& in) {
    const op::LayerNormSaved saved{out[2], out[1]};
    op::layer_norm_backward(s, gradients[0], {gradients[1], gradients[2]}, dy,
                            {in[0], in[1], in[2]}, saved, into);
  };
  p.gradients_of = {{.input = 0, .accumulates = into == op::Into::accumulate},
                    {.input = 1, .accumulates = true, .depth = p.depth + 32},
                    {.input = 2, .accumulates = true, .depth = p.depth + 32}};
  return p;
}

OpCase norm_case(const std::string& name, const std::string& op,
                 Problem (*make)(const Sizes&, op::Into), op::Into into) {
  return {.name = name,
          .ops = {op, op + "_backward"},
          .test_sizes = edge_sizes,
          .oclgrind_sizes = tiny_sizes,
          .bench_sizes = into == op::Into::replace ? bench_sizes : std::vector<Sizes>{},
          .make = [make, into](const Sizes& sizes) { return make(sizes, into); },
          .has_activations = true};
}

const Registered rms_norm(norm_case("rms_norm", "rms_norm", make_rms_norm, op::Into::replace));
const Registered rms_norm_into(norm_case("rms_norm_into_dx", "rms_norm", make_rms_norm,
                                         op::Into::accumulate));
const Registered layer_norm(norm_case("layer_norm", "layer_norm", make_layer_norm,
                                      op::Into::replace));
const Registered layer_norm_into(norm_case("layer_norm_into_dx", "layer_norm", make_layer_norm,
                                           op::Into::accumulate));

}  // namespace
}  // namespace motley::test
