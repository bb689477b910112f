#include "train/presets.h"

namespace motley {
namespace {

struct Sizes {
  std::uint64_t layers;
  std::uint64_t width;
  std::uint64_t heads;
  std::uint64_t kv_heads;
  std::uint64_t mlp_width;
  std::uint64_t context;
};

ModelSettings shape(std::string_view name, Family family, const Sizes& sizes) {
  ModelSettings model;
  model.preset = name;
  model.family = family;
  model.layers = sizes.layers;
  model.width = sizes.width;
  model.heads = sizes.heads;
  model.kv_heads = sizes.kv_heads;
  model.mlp_width = sizes.mlp_width;
  model.context = sizes.context;
  model.tie = family == Family::gpt2;
  return model;
}

ModelSettings llama(std::string_view name, const Sizes& sizes) {
  return shape(name, Family::llama, sizes);
}

ModelSettings gpt2(std::string_view name, const Sizes& sizes) {
  return shape(name, Family::gpt2, sizes);
}

ModelSettings llama_160m() {
  ModelSettings model = llama("llama-160m", {12, 768, 12, 12, 3072, 2048});
  model.norm_eps = 1e-6;
  return model;
}

/// Llama 3.2 1B without its rope scaling, which serves contexts above 8192 only.
ModelSettings llama_1b() {
  ModelSettings model = llama("llama-1b", {16, 2048, 32, 8, 8192, 2048});
  model.tie = true;
  model.rope_theta = 500000.0;
  return model;
}

}  // namespace

std::span<const Preset> presets() {
  // Where no paper fixes it, the feed-forward width is 8/3 of the width, rounded up to a multiple
  // of 64 or 128, as SwiGLU has three matrices to GELU's two; llama-10m's is 7/3, for 10 M
  // parameters in all.
  static const std::vector<Preset> table{
      {"llama-tiny", "a smoke test", 4096, llama("llama-tiny", {4, 256, 4, 4, 704, 256})},
      {"llama-10m", "learns English on two CPU cores", 4096, ModelSettings{}},
      {"llama-small", "a small machine's model", 8192,
       llama("llama-small", {8, 512, 8, 8, 1408, 512})},
      {"gpt2-124m", "GPT-2 small", 50257, gpt2("gpt2-124m", {12, 768, 12, 12, 3072, 1024})},
      {"llama-160m", "the shape of JackFram/llama-160m", 32000, llama_160m()},
      {"llama-medium", "one good GPU's model", 32000,
       llama("llama-medium", {16, 1024, 16, 16, 2816, 1024})},
      {"gpt2-350m", "GPT-2 medium", 50257, gpt2("gpt2-350m", {24, 1024, 16, 16, 4096, 1024})},
      {"llama-1b", "Llama 3.2 1B", 128256, llama_1b()},
  };
  return table;
}

const Preset* find_preset(std::string_view name) {
  for (const Preset& preset : presets()) {
    if (preset.name == name) return &preset;
  }
  return nullptr;
}

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  for (const Preset& preset : presets()) names.emplace_back(preset.name);
  return names;
}

}  // namespace motley
