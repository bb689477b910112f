#include "train/presets.h"

#include <gtest/gtest.h>

#include "model/config.h"

namespace motley {
namespace {

std::size_t count(std::string_view name) {
  const Preset* preset = find_preset(name);
  return preset == nullptr ? 0 : num_parameters(model_config(preset->model, preset->vocab));
}

TEST(Presets, HaveTheParametersOfTheirModels) {
  EXPECT_EQ(count("gpt2-124m"), 124'439'808U);   // as Hugging Face counts gpt2
  EXPECT_EQ(count("gpt2-350m"), 354'823'168U);   // gpt2-medium
  EXPECT_EQ(count("llama-160m"), 162'417'408U);  // JackFram/llama-160m
  EXPECT_EQ(count("llama-1b"), 1'235'814'400U);  // meta-llama/Llama-3.2-1B
  EXPECT_EQ(count("llama-10m"), 10'130'304U);
}

TEST(Presets, AreValidAndNamedByTheirSettings) {
  for (const Preset& preset : presets()) {
    EXPECT_EQ(preset.model.preset, preset.name);
    model_config(preset.model, preset.vocab).validate();
  }
  EXPECT_EQ(find_preset("llama-11m"), nullptr);
}

TEST(Presets, TheDefaultIsOneOfThem) {
  EXPECT_NE(find_preset(ModelSettings{}.preset), nullptr);
}

}  // namespace
}  // namespace motley
