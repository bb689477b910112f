// Whole models: gradients against finite differences, recomputation, determinism, both kernel
// families.
#include "model/decoder.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/model/tiny_models.h"

namespace motley {
namespace {

using test::hashed_batch;
using test::read;

struct ModelRun {
  Device device;
  ParamStore params;
  Decoder decoder;

  ModelRun(const ModelConfig& config, KernelFamily family, Recompute recompute)
      : device(list_devices().at(0), {.family = family, .fresh_memory = FreshMemory::poison}),
        params(device, config),
        decoder(device, config, params, recompute) {
    test::set_hashed_weights(device.stream(), params);
  }

  /// Loss and, with gradients, forward and backward over the first batch.
  double train() {
    Tensor loss_sum = device.zeros({1});
    const DeviceBatch batch = hashed_batch(device, decoder.config().vocab, 0);
    decoder.forward(device.stream(), batch);
    decoder.backward(device.stream(), batch, loss_sum, {});
    return read(device.stream(), loss_sum)[0];
  }
  double evaluate() {
    Tensor loss_sum = device.zeros({1});
    decoder.evaluate(device.stream(), hashed_batch(device, decoder.config().vocab, 0), loss_sum);
    return read(device.stream(), loss_sum)[0];
  }
  std::vector<std::vector<float>> gradients() {
    std::vector<std::vector<float>> all;
    for (const Param& param : params.params()) all.push_back(read(device.stream(), param.gradient));
    return all;
  }
};

struct Case {
  const char* name;
  ModelConfig config;
  KernelFamily family;
};

class Models : public testing::TestWithParam<Case> {};

/// The slope of the loss along the gradient's own direction, by a central difference of the fourth
/// order, must be the gradient's length. Along this direction the signal is largest, so that float
/// losses suffice.
TEST_P(Models, GradientsMatchFiniteDifferences) {
  ModelRun run(GetParam().config, GetParam().family, Recompute::none);
  run.train();
  Stream& s = run.device.stream();
  for (const Param& param : run.params.params()) {
    Tensor target = param.value;
    const std::vector<float> values = read(s, target);
    const std::vector<float> gradient = read(s, param.gradient);
    double length = 0;
    for (const float g : gradient) length += double{g} * g;
    length = std::sqrt(length);
    ASSERT_GT(length, 1e-4) << param.spec.name;
    const auto loss_at = [&](double h) {
      std::vector<float> moved(values);
      for (std::size_t i = 0; i < moved.size(); ++i) {
        moved[i] = static_cast<float>(values[i] + h * gradient[i] / length);
      }
      s.write<float>(target, moved);
      return run.evaluate();
    };
    // A loss of about 200 has a rounding error of about 1e-5; the step makes differences some 1e4
    // times that.
    const double h = std::min(0.05, 0.2 / length);
    const double slope =
        (8 * (loss_at(h) - loss_at(-h)) - (loss_at(2 * h) - loss_at(-2 * h))) / (12 * h);
    s.write<float>(target, values);
    EXPECT_NEAR(slope / length, 1.0, 2e-3) << param.spec.name << " length " << length;
  }
}

TEST_P(Models, RecomputationChangesNoBit) {
  ModelRun whole(GetParam().config, GetParam().family, Recompute::none);
  const double loss = whole.train();
  for (const Recompute recompute : {Recompute::attention, Recompute::block}) {
    ModelRun run(GetParam().config, GetParam().family, recompute);
    EXPECT_EQ(run.train(), loss);
    EXPECT_EQ(run.gradients(), whole.gradients());
  }
}

TEST_P(Models, RepeatsBitForBit) {
  ModelRun first(GetParam().config, GetParam().family, Recompute::none);
  ModelRun second(GetParam().config, GetParam().family, Recompute::none);
  EXPECT_EQ(first.train(), second.train());
  EXPECT_EQ(first.gradients(), second.gradients());
}

TEST_P(Models, EvaluationGivesTheTrainingLoss) {
  ModelRun run(GetParam().config, GetParam().family, Recompute::none);
  const double evaluated = run.evaluate();
  EXPECT_EQ(run.train(), evaluated);
}

TEST_P(Models, TellsEveryBucketOnceInOrder) {
  ModelRun run(GetParam().config, GetParam().family, Recompute::none);
  Tensor loss_sum = run.device.zeros({1});
  const DeviceBatch batch = hashed_batch(run.device, run.decoder.config().vocab, 0);
  std::vector<std::size_t> told;
  run.decoder.forward(run.device.stream(), batch);
  run.decoder.backward(run.device.stream(), batch, loss_sum,
                       [&](std::size_t bucket) { told.push_back(bucket); });
  ASSERT_EQ(told.size(), run.params.buckets().size());
  for (std::size_t i = 0; i < told.size(); ++i) EXPECT_EQ(told[i], i);
}

TEST(Decoder, RefusesASequenceBeyondTheContext) {
  ModelRun run(test::tiny_llama(), KernelFamily::cpu, Recompute::none);
  const DeviceBatch batch = hashed_batch(run.device, run.decoder.config().vocab, 0, 1, 21);
  EXPECT_THROW(run.decoder.forward(run.device.stream(), batch), ShapeError);
}

ModelConfig with_exact_gelu(ModelConfig config) {
  config.gelu = op::Gelu::erf;
  return config;
}

ModelConfig tied(ModelConfig config) {
  config.tie = true;
  return config;
}

INSTANTIATE_TEST_SUITE_P(
    Tiny, Models,
    testing::Values(Case{"gpt2_cpu", test::tiny_gpt2(), KernelFamily::cpu},
                    Case{"gpt2_erf_cpu", with_exact_gelu(test::tiny_gpt2()), KernelFamily::cpu},
                    Case{"gpt2_gpu", test::tiny_gpt2(), KernelFamily::gpu},
                    Case{"llama_cpu", test::tiny_llama(), KernelFamily::cpu},
                    Case{"llama_gpu", test::tiny_llama(), KernelFamily::gpu},
                    Case{"llama_tied_cpu", tied(test::tiny_llama()), KernelFamily::cpu}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace motley
