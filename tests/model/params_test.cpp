#include "model/params.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "tests/model/tiny_models.h"

namespace motley {
namespace {

TEST(ParameterSpecs, CountGpt2AsPublished) {
  // GPT-2 small: 124,439,808 parameters with its tied head (Radford et al. 2019; Hugging Face
  // "gpt2").
  const ModelConfig config{.family = Family::gpt2,
                           .vocab = 50257,
                           .context = 1024,
                           .layers = 12,
                           .width = 768,
                           .heads = 12,
                           .kv_heads = 12,
                           .head_dim = 64,
                           .mlp_width = 3072,
                           .tie = true};
  EXPECT_EQ(num_parameters(config), 124'439'808u);
}

TEST(ParameterSpecs, AreUniqueAndDecayOnlyMatrices) {
  for (const ModelConfig& config : {test::tiny_gpt2(), test::tiny_llama()}) {
    std::set<std::string> names;
    std::size_t stage = 0;
    for (const ParamSpec& spec : parameter_specs(config)) {
      EXPECT_TRUE(names.insert(spec.name).second) << spec.name;
      EXPECT_EQ(spec.decay == Decay::yes, spec.shape.rank() == 2) << spec.name;
      EXPECT_GE(spec.stage, stage);
      stage = spec.stage;
    }
    EXPECT_EQ(stage, config.layers + 1);
  }
}

TEST(ModelConfig, RefusesImpossibleShapes) {
  const auto refused = [](auto change) {
    ModelConfig config = test::tiny_llama();
    change(config);
    EXPECT_THROW(config.validate(), ConfigError);
  };
  refused([](ModelConfig& c) { c.layers = 0; });
  refused([](ModelConfig& c) { c.kv_heads = 3; });
  refused([](ModelConfig& c) { c.head_dim = 7; });
  refused([](ModelConfig& c) { c.vocab = std::size_t{1} << 40; });
  refused([](ModelConfig& c) { c.heads = c.kv_heads = c.head_dim = std::size_t{1} << 20; });
  refused([](ModelConfig& c) { c.norm_eps = 0; });
  refused([](ModelConfig& c) { c.rope_theta = std::numeric_limits<float>::infinity(); });
  test::tiny_llama().validate();
  test::tiny_gpt2().validate();
}

TEST(ParamStore, InitializesBySpecAndSeed) {
  Device device(list_devices().at(0));
  ModelConfig config = test::tiny_llama();
  config.width = 64;
  ParamStore params(device, config);
  Stream& s = device.stream();
  params.initialize(s, 7);
  for (const Param& param : params.params()) {
    const std::vector<float> values = test::read(s, param.value);
    double sum = 0;
    double squares = 0;
    for (const float v : values) {
      sum += v;
      squares += double{v} * v;
    }
    const double count = static_cast<double>(values.size());
    const double stddev = param.spec.stddev;
    if (param.spec.init == Init::ones) {
      EXPECT_EQ(sum, count);
      continue;
    }
    // Five standard errors of the mean and of the standard deviation.
    EXPECT_LE(std::abs(sum / count), 5 * stddev / std::sqrt(count)) << param.spec.name;
    EXPECT_NEAR(std::sqrt(squares / count), stddev, 5 * stddev / std::sqrt(2 * count))
        << param.spec.name;
  }
  const std::vector<float> before = test::read(s, params.at("embed.weight").value);
  params.initialize(s, 7);
  EXPECT_EQ(test::read(s, params.at("embed.weight").value), before);
  params.initialize(s, 8);
  EXPECT_NE(test::read(s, params.at("embed.weight").value), before);
}

TEST(ParamStore, InBf16StartsFromTheSameNumbers) {
  Device device(list_devices().at(0), {.fresh_memory = FreshMemory::poison});
  const ModelConfig config = test::tiny_gpt2();
  ParamStore wide(device, config);
  ParamStore narrow(device, config, Dtype::bf16);
  Stream& s = device.stream();
  wide.initialize(s, 7);
  narrow.initialize(s, 7);
  for (const Param& param : wide.params()) {
    const Param& same = narrow.at(param.spec.name);
    EXPECT_EQ(same.value.dtype(), Dtype::bf16);
    std::vector<float> expected = test::read(s, param.value);
    for (float& value : expected) value = f32_from_bf16(split_f32(value).upper);
    EXPECT_EQ(test::read(s, same.value), expected) << param.spec.name;
    if (param.spec.shape.rank() == 2) continue;
    narrow.widen(s, param.spec.stage);
    EXPECT_EQ(same.operand.dtype(), Dtype::f32);
    EXPECT_EQ(test::read(s, same.operand), expected) << param.spec.name;
  }
}

TEST(ParamStore, BucketsCoverEveryParameterWithoutOverlap) {
  Device device(list_devices().at(0));
  ModelConfig config = test::tiny_llama();
  config.vocab = 9000;
  config.width = 256;
  ParamStore params(device, config);
  EXPECT_GT(params.buckets().size(), 1u);
  std::size_t filled = 0;
  for (const Param& param : params.params()) {
    EXPECT_GE(param.offset, filled) << param.spec.name;
    filled = param.offset + param.spec.shape.size();
    EXPECT_GE(param.offset, params.layout().blocks[param.block].begin);
    EXPECT_LE(filled, params.layout().blocks[param.block].end);
  }
  EXPECT_THROW(params.at("no.such.weight"), ConfigError);
}

}  // namespace
}  // namespace motley
