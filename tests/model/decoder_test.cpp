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

  ModelRun(const ModelConfig& config, KernelFamily family, const DecoderOptions& options = {},
           Dtype weights = Dtype::f32)
      : device(list_devices().at(0), {.family = family, .fresh_memory = FreshMemory::poison}),
        params(device, config, weights),
        decoder(device, config, params, options) {
    if (weights == Dtype::f32) test::set_hashed_weights(device.stream(), params);
  }

  /// Loss and, with gradients, forward and backward over the first batch. `loss_scale`: of these.
  double train(float loss_scale = 1) {
    Tensor loss_sum = device.zeros({1});
    Tensor scale = device.tensor({1});
    device.stream().write<float>(scale, std::vector<float>{loss_scale});
    const DeviceBatch batch = hashed_batch(device, decoder.config().vocab, 0);
    decoder.forward(device.stream(), batch);
    decoder.backward(device.stream(), batch, loss_sum, {}, {}, loss_scale == 1 ? nullptr : &scale);
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
  Dtype dtype = Dtype::f32;
};

class Models : public testing::TestWithParam<Case> {
 protected:
  ModelRun make(Recompute recompute = Recompute::none) const {
    return {GetParam().config, GetParam().family, {recompute, GetParam().dtype}};
  }
};

/// Cases in f32, whose losses are exact enough for finite differences.
class ModelsInF32 : public Models {};
/// Cases in bf16 and in f16.
class ModelsInHalves : public Models {};

/// Of a / scale and b, relative to b.
double distance(const std::vector<float>& a, const std::vector<float>& b, double scale) {
  double difference = 0;
  double size = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    difference += std::pow(double{a[i]} / scale - double{b[i]}, 2);
    size += double{b[i]} * double{b[i]};
  }
  return std::sqrt(difference / size);
}

/// The slope of the loss along the gradient's own direction, by a central difference of the fourth
/// order, must be the gradient's length. Along this direction the signal is largest, so that float
/// losses suffice.
TEST_P(ModelsInF32, GradientsMatchFiniteDifferences) {
  ModelRun run = make();
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
  ModelRun whole = make();
  const double loss = whole.train();
  for (const Recompute recompute : {Recompute::attention, Recompute::block}) {
    ModelRun run = make(recompute);
    EXPECT_EQ(run.train(), loss);
    EXPECT_EQ(run.gradients(), whole.gradients());
  }
}

TEST_P(Models, RepeatsBitForBit) {
  ModelRun first = make();
  ModelRun second = make();
  EXPECT_EQ(first.train(), second.train());
  EXPECT_EQ(first.gradients(), second.gradients());
}

TEST_P(Models, EvaluationGivesTheTrainingLoss) {
  ModelRun run = make();
  const double evaluated = run.evaluate();
  EXPECT_EQ(run.train(), evaluated);
}

TEST_P(Models, TellsEveryBucketOnceInOrder) {
  ModelRun run = make();
  Tensor loss_sum = run.device.zeros({1});
  const DeviceBatch batch = hashed_batch(run.device, run.decoder.config().vocab, 0);
  std::vector<std::size_t> told;
  run.decoder.forward(run.device.stream(), batch);
  run.decoder.backward(run.device.stream(), batch, loss_sum,
                       [&](std::size_t bucket) { told.push_back(bucket); });
  ASSERT_EQ(told.size(), run.params.buckets().size());
  for (std::size_t i = 0; i < told.size(); ++i) EXPECT_EQ(told[i], i);
}

/// A rounding to bf16 is 2^-9 at most, to f16 2^-12, and the longest chain of them is some tens
/// long.
TEST_P(ModelsInHalves, LossAndGradientsAreNearThoseOfF32) {
  ModelRun wide(GetParam().config, GetParam().family);
  ModelRun narrow = make();
  const bool in_f16 = GetParam().dtype == Dtype::f16;
  const float scale = in_f16 ? 4096 : 1;
  const double finer = in_f16 ? 8 : 1;
  const double loss = wide.train();
  const double narrow_loss = narrow.train(scale);
  EXPECT_NEAR(narrow_loss / loss, 1, 2e-3 / finer);
  EXPECT_NE(narrow_loss, loss) << "nothing was rounded";
  for (std::size_t i = 0; i < wide.params.params().size(); ++i) {
    EXPECT_LT(distance(narrow.gradients()[i], wide.gradients()[i], scale), 0.03 / finer)
        << wide.params.params()[i].spec.name;
  }
}

/// Weights of bf16 are those of f32 that bf16 can hold.
TEST(Decoder, ComputesWithWeightsInBf16AsWithTheSameInF32) {
  for (const ModelConfig& config : {test::tiny_gpt2(), test::tiny_llama()}) {
    for (const KernelFamily family : {KernelFamily::cpu, KernelFamily::gpu}) {
      ModelRun wide(config, family, {.dtype = Dtype::bf16});
      ModelRun narrow(config, family, {.dtype = Dtype::bf16}, Dtype::bf16);
      for (std::size_t block = 0; block < wide.params.layout().blocks.size(); ++block) {
        const std::vector<float> values =
            read(wide.device.stream(), wide.params.block_values(block));
        narrow.params.set_block(narrow.device.stream(), block, values);
        const std::vector<float> rounded =
            read(narrow.device.stream(), narrow.params.block_values(block));
        EXPECT_NE(rounded, values);
        wide.params.set_block(wide.device.stream(), block, rounded);
      }
      EXPECT_EQ(narrow.evaluate(), wide.evaluate());
      EXPECT_EQ(narrow.train(), wide.train());
      EXPECT_EQ(narrow.gradients(), wide.gradients());
    }
  }
}

TEST(Decoder, RefusesASequenceBeyondTheContext) {
  ModelRun run(test::tiny_llama(), KernelFamily::cpu);
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

std::string name_of_case(const testing::TestParamInfo<Case>& test) {
  return test.param.name;
}

const auto cases_in_f32 =
    testing::Values(Case{"gpt2_cpu", test::tiny_gpt2(), KernelFamily::cpu},
                    Case{"gpt2_erf_cpu", with_exact_gelu(test::tiny_gpt2()), KernelFamily::cpu},
                    Case{"gpt2_gpu", test::tiny_gpt2(), KernelFamily::gpu},
                    Case{"llama_cpu", test::tiny_llama(), KernelFamily::cpu},
                    Case{"llama_gpu", test::tiny_llama(), KernelFamily::gpu},
                    Case{"llama_tied_cpu", tied(test::tiny_llama()), KernelFamily::cpu});
const auto cases_in_bf16 =
    testing::Values(Case{"gpt2_cpu_bf16", test::tiny_gpt2(), KernelFamily::cpu, Dtype::bf16},
                    Case{"gpt2_gpu_bf16", test::tiny_gpt2(), KernelFamily::gpu, Dtype::bf16},
                    Case{"llama_cpu_bf16", test::tiny_llama(), KernelFamily::cpu, Dtype::bf16},
                    Case{"llama_gpu_bf16", test::tiny_llama(), KernelFamily::gpu, Dtype::bf16});
const auto cases_in_f16 =
    testing::Values(Case{"gpt2_cpu_f16", test::tiny_gpt2(), KernelFamily::cpu, Dtype::f16},
                    Case{"gpt2_gpu_f16", test::tiny_gpt2(), KernelFamily::gpu, Dtype::f16},
                    Case{"llama_cpu_f16", test::tiny_llama(), KernelFamily::cpu, Dtype::f16},
                    Case{"llama_gpu_f16", test::tiny_llama(), KernelFamily::gpu, Dtype::f16});

INSTANTIATE_TEST_SUITE_P(Tiny, Models, cases_in_f32, name_of_case);
INSTANTIATE_TEST_SUITE_P(TinyBf16, Models, cases_in_bf16, name_of_case);
INSTANTIATE_TEST_SUITE_P(Tiny, ModelsInF32, cases_in_f32, name_of_case);
INSTANTIATE_TEST_SUITE_P(TinyBf16, ModelsInHalves, cases_in_bf16, name_of_case);
INSTANTIATE_TEST_SUITE_P(TinyF16, Models, cases_in_f16, name_of_case);
INSTANTIATE_TEST_SUITE_P(TinyF16, ModelsInHalves, cases_in_f16, name_of_case);

}  // namespace
}  // namespace motley
