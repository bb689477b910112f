// AdamW, Lion and SGD: three updates in a row. Sizes: {elements}. With a non-finite gradient
// counted, the same updates must change no bit.
#include <algorithm>
#include <cmath>

#include "kernels/ops.h"
#include "tensor/device.h"
#include "tensor/half.h"
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
/// What the weights are kept as; what they become at random is not compared here.
enum class Kept { f32, halves, random };
struct Variant {
  Gradients gradients = Gradients::finite;
  Kept kept = Kept::f32;
};

/// Runs updates of weights whose f32 values are `w`, which is left alone with Kept::random.
template <class F>
void with_weights(Stream& s, Kept kept, Tensor& w, F update) {
  if (kept == Kept::f32) return update(op::Weights(w));
  const op::StochasticRounding rounding{.random = Random(3, Purpose::rounding), .first = 192};
  Tensor upper = s.device().tensor(w.shape(), Dtype::bf16);
  Tensor rest = s.device().tensor(w.shape(), Dtype::u16);
  std::vector<float> values(w.size());
  std::vector<std::uint16_t> uppers;
  std::vector<std::uint16_t> rests;
  s.read<float>(values, w);
  for (const float value : values) {
    uppers.push_back(split_f32(value).upper);
    rests.push_back(split_f32(value).rest);
  }
  s.write<std::uint16_t>(upper, uppers);
  s.write<std::uint16_t>(rest, rests);
  if (kept == Kept::random) {
    update(op::Weights(upper, rounding));
    return s.finish();
  }
  update(op::Weights(upper, rest));
  s.read<std::uint16_t>(uppers, upper);
  s.read<std::uint16_t>(rests, rest);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = join_f32({uppers[i], rests[i]});
  s.write<float>(w, values);
}

HostTensor control_of(Gradients gradients, const op::UpdateNumbers& numbers) {
  return {{op::control_size},
          Dtype::f32,
          {0.25, 17.0, gradients == Gradients::finite ? 0.0 : 2.0, double{numbers.rate},
           double{numbers.root}, double{numbers.keep}, double{numbers.one_over_tokens}, 0.0}};
}

/// Inputs g and a control for each step; outputs w and m with contents.
template <class Settings>
Problem updates_of(const Sizes& sizes, Variant variant, Settings settings) {
  const std::size_t size = sizes[0];
  Problem p;
  p.inputs = {random_tensor({size}, 1, 4.0)};
  for (std::size_t step = 1; step <= num_steps; ++step) {
    if constexpr (requires { settings.step; }) settings.step = step;
    p.inputs.push_back(control_of(variant.gradients, op::numbers_of(settings)));
  }
  p.outputs = {random_tensor({size}, 2), random_tensor({size}, 3, 0.5)};
  p.depth = variant.gradients == Gradients::finite ? update_depth : 0;
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
void for_each_update(Kept kept, std::vector<HostTensor>& out, const std::vector<HostTensor>& in,
                     F update) {
  if (in[1].values[2] != 0) return;
  const std::vector<double> before = out[0].values;
  for (std::size_t step = 1; step <= num_steps; ++step) {
    for (std::size_t i = 0; i < in[0].values.size(); ++i) {
      update(static_cast<double>(step), i, in[1].values[0] * in[0].values[i], out);
    }
  }
  if (kept == Kept::random) out[0].values = before;
}

Problem make_adamw(const Sizes& sizes, Variant variant) {
  Problem p = updates_of(sizes, variant, adamw_settings);
  HostTensor v = random_tensor({sizes[0]}, 4, 0.01);
  // Positive, and not so near zero that the quotient magnifies roundings.
  for (double& x : v.values) x = static_cast<double>(static_cast<float>(std::abs(x) + 0.001));
  p.outputs.push_back(v);
  p.run = [kept = variant.kept](Stream& s, std::vector<Tensor>& out,
                                const std::vector<Tensor>& in) {
    with_weights(s, kept, out[0], [&](op::Weights w) {
      for (std::size_t step = 1; step <= num_steps; ++step)
        op::adamw(s, w, out[1], out[2], in[0], in[step], adamw_settings);
    });
  };
  p.reference = [kept = variant.kept](std::vector<HostTensor>& out,
                                      const std::vector<HostTensor>& in) {
    const double beta1 = double{adamw_settings.beta1};
    const double beta2 = double{adamw_settings.beta2};
    const double rate = double{adamw_settings.learning_rate};
    const double decay = rate * double{adamw_settings.weight_decay};
    for_each_update(kept, out, in,
                    [=](double step, std::size_t i, double g, std::vector<HostTensor>& o) {
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

Problem make_lion(const Sizes& sizes, Variant variant) {
  Problem p = updates_of(sizes, variant, lion_settings);
  p.run = [kept = variant.kept](Stream& s, std::vector<Tensor>& out,
                                const std::vector<Tensor>& in) {
    with_weights(s, kept, out[0], [&](op::Weights w) {
      for (std::size_t step = 1; step <= num_steps; ++step)
        op::lion(s, w, out[1], in[0], in[step], lion_settings);
    });
  };
  p.reference = [kept = variant.kept](std::vector<HostTensor>& out,
                                      const std::vector<HostTensor>& in) {
    const double beta1 = double{lion_settings.beta1};
    const double beta2 = double{lion_settings.beta2};
    const double rate = double{lion_settings.learning_rate};
    for_each_update(kept, out, in,
                    [=](double, std::size_t i, double g, std::vector<HostTensor>& o) {
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

Problem make_sgd(const Sizes& sizes, Variant variant) {
  Problem p = updates_of(sizes, variant, sgd_settings);
  p.run = [kept = variant.kept](Stream& s, std::vector<Tensor>& out,
                                const std::vector<Tensor>& in) {
    with_weights(s, kept, out[0], [&](op::Weights w) {
      for (std::size_t step = 1; step <= num_steps; ++step)
        op::sgd(s, w, out[1], in[0], in[step], sgd_settings);
    });
  };
  p.reference = [kept = variant.kept](std::vector<HostTensor>& out,
                                      const std::vector<HostTensor>& in) {
    const double rate = double{sgd_settings.learning_rate};
    for_each_update(kept, out, in,
                    [=](double, std::size_t i, double g, std::vector<HostTensor>& o) {
                      double& w = o[0].values[i];
                      double& m = o[1].values[i];
                      m = double{sgd_settings.momentum} * m + g;
                      w -= rate * (m + double{sgd_settings.weight_decay} * w);
                    });
  };
  set_cost(p, 5, 5);
  return p;
}

using Make = Problem (*)(const Sizes&, Variant);

OpCase case_of(const std::string& op, Make make) {
  return {.name = op,
          .ops = {op},
          .test_sizes = edge_sizes,
          .oclgrind_sizes = tiny_sizes,
          .bench_sizes = large_sizes,
          .make = [make](const Sizes& sizes) { return make(sizes, {}); }};
}

OpCase frozen_case_of(const std::string& op, Make make) {
  return {.name = op + "_frozen",
          .ops = {op},
          .test_sizes = {{257}},
          .oclgrind_sizes = {},
          .bench_sizes = {},
          .make = [make](const Sizes& sizes) {
            return make(sizes, {.gradients = Gradients::non_finite});
          }};
}

OpCase bf16_case_of(const std::string& op, Make make, Kept kept) {
  return {.name = op + (kept == Kept::halves ? "_halves" : "_random"),
          .ops = {op},
          .test_sizes = edge_sizes,
          .oclgrind_sizes = tiny_sizes,
          .bench_sizes = {},
          .make = [make, kept](const Sizes& sizes) { return make(sizes, {.kept = kept}); }};
}

struct RegisteredUpdate {
  RegisteredUpdate(const std::string& op, Make make)
      : plain(case_of(op, make)),
        frozen(frozen_case_of(op, make)),
        halves(bf16_case_of(op, make, Kept::halves)),
        random(bf16_case_of(op, make, Kept::random)) {}
  Registered plain;
  Registered frozen;
  Registered halves;
  Registered random;
};

const RegisteredUpdate adamw("adamw", make_adamw);
const RegisteredUpdate lion("lion", make_lion);
const RegisteredUpdate sgd("sgd", make_sgd);

}  // namespace
}  // namespace motley::test
