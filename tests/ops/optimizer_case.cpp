// AdamW, Lion and SGD: three updates in a row. Sizes: {elements}. With a non-finite gradient
// counted, the same updates must change no bit.
#include <algorithm>
#include <cmath>

#include "kernels/ops.h"
#include "tests/ops/op_case.h"

namespace motley::test {
namespace {

constexpr std::size_t num_steps = 3;
// Roundings behind a weight after three updates, a square root and a division in each.
constexpr double update_depth = 24;

constexpr op::AdamW adamw_settings{
    .learning_rate = 0.01f, .beta1 = 0.9f, .beta2 = 0.95f, .epsilon = 1e-6f, .weight_decay = 0.1f};
constexpr op::Lion lion_settings{
    .learning_rate = 0.01f, .beta1 = 0.9f, .beta2 = 0.99f, .weight_decay = 0.1f};
constexpr op::Sgd sgd_settings{.learning_rate = 0.1f, .momentum = 0.9f, .weight_decay = 0.1f};

const std::vector<Sizes> edge_sizes = {{0}, {1}, {2}, {15}, {255}, {256}, {257}, {1009}, {4097}};
const std::vector<Sizes> tiny_sizes = {{5}, {257}};
const std::vector<Sizes> large_sizes = {{1 << 20}, {1 << 23}};

enum class Gradients { finite, non_finite };

HostTensor control_of(Gradients gradients, const op::UpdateNumbers& numbers) {
  return {{op::control_size},
          Dtype::f32,
          {0.25, 17.0, gradients == Gradients::finite ? 0.0 : 2.0, double{numbers.rate},
           double{numbers.root}, double{numbers.keep}, double{numbers.one_over_tokens}}};
}

/// Inputs g and a control for each step; outputs w and m with contents.
template <class Settings>
Problem updates_of(const Sizes& sizes, Gradients gradients, Settings settings) {
  const std::size_t size = sizes[0];
  Problem p;
  p.inputs = {random_tensor({size}, 1, 4.0)};
  for (std::size_t step = 1; step <= num_steps; ++step) {
    if constexpr (requires { settings.step; }) settings.step = step;
    p.inputs.push_back(control_of(gradients, op::numbers_of(settings)));
  }
  p.outputs = {random_tensor({size}, 2), random_tensor({size}, 3, 0.5)};
  p.depth = gradients == Gradients::finite ? update_depth : 0;
  return p;
}

/// What the case says it costs: `streams` arrays are read or written in each update.
void set_cost(Problem& p, double streams, double flops) {
  const auto updates = static_cast<double>(num_steps * p.inputs[0].shape.size());
  p.bytes = 4.0 * streams * updates;
  p.flops = flops * updates;
}

/// Calls update(step, i, scaled gradient, out) for every step and element, unless nothing may
/// change.
template <class F>
void for_each_update(std::vector<HostTensor>& out, const std::vector<HostTensor>& in, F update) {
  if (in[1].values[2] != 0) return;
  for (std::size_t step = 1; step <= num_steps; ++step) {
    for (std::size_t i = 0; i < in[0].values.size(); ++i) {
      update(static_cast<double>(step), i, in[1].values[0] * in[0].values[i], out);
    }
  }
}

Problem make_adamw(const Sizes& sizes, Gradients gradients) {
  Problem p = updates_of(sizes, gradients, adamw_settings);
  HostTensor v = random_tensor({sizes[0]}, 4, 0.01);
  // Positive, and not so near zero that the quotient magnifies roundings.
  for (double& x : v.values) x = static_cast<double>(static_cast<float>(std::abs(x) + 0.001));
  p.outputs.push_back(v);
  p.run = [](Stream& s, std::vector<Tensor>& out, const std::vector<Tensor>& in) {
    for (std::size_t step = 1; step <= num_steps; ++step)
      op::adamw(s, out[0], out[1], out[2], in[0], in[step], adamw_settings);
  };
  p.reference = [](std::vector<HostTensor>& out, const std::vector<HostTensor>& in) {
    const double beta1 = double{adamw_settings.beta1};
    const double beta2 = double{adamw_settings.beta2};
    const double rate = double{adamw_settings.learning_rate};
    const double decay = rate * double{adamw_settings.weight_decay};
    for_each_update(out, in, [=](double step, std::size_t i, double g, std::vector<HostTensor>& o) {
      double& w = o[0].values[i];
      double& m = o[1].values[i];
      double& variance = o[2].values[i];
      m = beta1 * m + (1 - beta1) * g;
      variance = beta2 * variance + (1 - beta2) * g * g;
      const double mean = m / (1 - std::pow(beta1, step));
      const double root = std::sqrt(variance / (1 - std::pow(beta2, step)));
      w -= decay * w + rate * mean / (root + double{adamw_settings.epsilon});
    });
  };
  set_cost(p, 7, 14);
  return p;
}

Problem make_lion(const Sizes& sizes, Gradients gradients) {
  Problem p = updates_of(sizes, gradients, lion_settings);
  p.run = [](Stream& s, std::vector<Tensor>& out, const std::vector<Tensor>& in) {
    for (std::size_t step = 1; step <= num_steps; ++step)
      op::lion(s, out[0], out[1], in[0], in[step], lion_settings);
  };
  p.reference = [](std::vector<HostTensor>& out, const std::vector<HostTensor>& in) {
    const double beta1 = double{lion_settings.beta1};
    const double beta2 = double{lion_settings.beta2};
    const double rate = double{lion_settings.learning_rate};
    for_each_update(out, in, [=](double, std::size_t i, double g, std::vector<HostTensor>& o) {
      double& w = o[0].values[i];
      double& m = o[1].values[i];
      const double direction = beta1 * m + (1 - beta1) * g;
      const double sign = direction > 0 ? 1 : direction < 0 ? -1 : 0;
      w -= rate * (sign + double{lion_settings.weight_decay} * w);
      m = beta2 * m + (1 - beta2) * g;
    });
  };
  set_cost(p, 5, 9);
  return p;
}

Problem make_sgd(const Sizes& sizes, Gradients gradients) {
  Problem p = updates_of(sizes, gradients, sgd_settings);
  p.run = [](Stream& s, std::vector<Tensor>& out, const std::vector<Tensor>& in) {
    for (std::size_t step = 1; step <= num_steps; ++step)
      op::sgd(s, out[0], out[1], in[0], in[step], sgd_settings);
  };
  p.reference = [](std::vector<HostTensor>& out, const std::vector<HostTensor>& in) {
    const double rate = double{sgd_settings.learning_rate};
    for_each_update(out, in, [=](double, std::size_t i, double g, std::vector<HostTensor>& o) {
      double& w = o[0].values[i];
      double& m = o[1].values[i];
      m = double{sgd_settings.momentum} * m + g;
      w -= rate * (m + double{sgd_settings.weight_decay} * w);
    });
  };
  set_cost(p, 5, 5);
  return p;
}

using Make = Problem (*)(const Sizes&, Gradients);

OpCase case_of(const std::string& op, Make make) {
  return {.name = op,
          .ops = {op},
          .test_sizes = edge_sizes,
          .oclgrind_sizes = tiny_sizes,
          .bench_sizes = large_sizes,
          .make = [make](const Sizes& sizes) { return make(sizes, Gradients::finite); }};
}

OpCase frozen_case_of(const std::string& op, Make make) {
  return {.name = op + "_frozen",
          .ops = {op},
          .test_sizes = {{257}},
          .oclgrind_sizes = {},
          .bench_sizes = {},
          .make = [make](const Sizes& sizes) { return make(sizes, Gradients::non_finite); }};
}

const Registered adamw(case_of("adamw", make_adamw));
const Registered adamw_frozen(frozen_case_of("adamw", make_adamw));
const Registered lion(case_of("lion", make_lion));
const Registered lion_frozen(frozen_case_of("lion", make_lion));
const Registered sgd(case_of("sgd", make_sgd));
const Registered sgd_frozen(frozen_case_of("sgd", make_sgd));

}  // namespace
}  // namespace motley::test
