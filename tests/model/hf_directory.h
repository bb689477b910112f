// Hand-made Hugging Face directories: what is in them is written down here once more, on purpose
// not taken from model/hf_names.
#pragma once

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "model/hf_weights.h"
#include "model/weight_source.h"
#include "tensor/error.h"
#include "tensor/half.h"
#include "tensor/safetensors.h"
#include "tests/model/tiny_models.h"
#include "tests/scratch_directory.h"

namespace motley::test {

struct HfTensor {
  std::string name;
  std::vector<std::size_t> shape;
  std::vector<float> values;
};

/// A tensor of multiples of 1/128 in +-1, which f16 and bf16 hold exactly; other ones for each
/// `stream`.
inline HfTensor hf_tensor(std::string name, std::vector<std::size_t> shape, std::uint32_t stream) {
  std::size_t size = 1;
  for (const std::size_t extent : shape) size *= extent;
  std::vector<float> values(size);
  for (std::size_t i = 0; i < size; ++i) {
    const std::uint32_t steps = hashed(stream, static_cast<std::uint32_t>(i)) % 257;
    values[i] = (static_cast<float>(steps) - 128.0f) / 128.0f;
  }
  return {std::move(name), std::move(shape), std::move(values)};
}

/// A whole directory in memory. Tests change it and write it.
struct HfDirectory {
  nlohmann::json config;
  std::vector<HfTensor> tensors;

  HfTensor& at(const std::string& name) {
    const auto found = std::find_if(tensors.begin(), tensors.end(),
                                    [&](const HfTensor& t) { return t.name == name; });
    if (found == tensors.end()) throw std::out_of_range(name);
    return *found;
  }
  void add(std::string name, std::vector<std::size_t> shape) {
    const auto stream = static_cast<std::uint32_t>(tensors.size());
    tensors.push_back(hf_tensor(std::move(name), std::move(shape), stream));
  }
  void remove(const std::string& name) {
    at(name).name.clear();
    std::erase_if(tensors, [](const HfTensor& t) { return t.name.empty(); });
  }
  /// Writes config.json and model.safetensors.
  void write(const io::Path& directory, Dtype dtype = Dtype::f32) const;
  /// Writes config.json, the first half of the tensors to a.safetensors, the others to
  /// b.safetensors, and their index.
  void write_sharded(const io::Path& directory) const;
};

inline void write_tensors(const io::Path& path, std::span<const HfTensor> tensors, Dtype dtype) {
  std::vector<SafetensorsTensor> declared;
  for (const HfTensor& tensor : tensors) declared.push_back({tensor.name, dtype, tensor.shape});
  SafetensorsWriter file(path, declared);
  for (const HfTensor& tensor : tensors) {
    std::vector<std::byte> bytes(tensor.values.size() * size_of(dtype));
    convert_from_f32(bytes, tensor.values, dtype);
    file.write(tensor.name, bytes);
  }
  file.finish();
}

inline void HfDirectory::write(const io::Path& directory, Dtype dtype) const {
  io::create_directories(directory);
  io::write_text_atomically(directory / "config.json", config.dump());
  write_tensors(directory / "model.safetensors", tensors, dtype);
}

inline void HfDirectory::write_sharded(const io::Path& directory) const {
  io::create_directories(directory);
  io::write_text_atomically(directory / "config.json", config.dump());
  const std::size_t half = tensors.size() / 2;
  write_tensors(directory / "a.safetensors", std::span(tensors).first(half), Dtype::f32);
  write_tensors(directory / "b.safetensors", std::span(tensors).subspan(half), Dtype::f32);
  nlohmann::json map;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    map[tensors[i].name] = i < half ? "a.safetensors" : "b.safetensors";
  }
  io::write_text_atomically(directory / "model.safetensors.index.json",
                            nlohmann::json{{"weight_map", map}}.dump());
}

/// tiny_gpt2() as transformers saves it; the hub's oldest files lack the prefix.
inline HfDirectory hf_gpt2(const std::string& prefix = "transformer.") {
  HfDirectory hf;
  hf.config = {{"model_type", "gpt2"}, {"vocab_size", 61}, {"n_positions", 20}, {"n_embd", 24},
               {"n_layer", 2},         {"n_head", 3},      {"n_inner", nullptr}};
  hf.add(prefix + "wte.weight", {61, 24});
  hf.add(prefix + "wpe.weight", {20, 24});
  for (const char* layer : {"h.0.", "h.1."}) {
    const std::string h = prefix + layer;
    for (const char* norm : {"ln_1", "ln_2"}) {
      hf.add(h + norm + ".weight", {24});
      hf.add(h + norm + ".bias", {24});
    }
    hf.add(h + "attn.c_attn.weight", {24, 72});
    hf.add(h + "attn.c_attn.bias", {72});
    hf.add(h + "attn.c_proj.weight", {24, 24});
    hf.add(h + "attn.c_proj.bias", {24});
    hf.add(h + "mlp.c_fc.weight", {24, 96});
    hf.add(h + "mlp.c_fc.bias", {96});
    hf.add(h + "mlp.c_proj.weight", {96, 24});
    hf.add(h + "mlp.c_proj.bias", {24});
  }
  hf.add(prefix + "ln_f.weight", {24});
  hf.add(prefix + "ln_f.bias", {24});
  return hf;
}

/// tiny_llama() as transformers saves it: grouped heads, a head of its own.
inline HfDirectory hf_llama() {
  HfDirectory hf;
  hf.config = {
      {"model_type", "llama"},    {"vocab_size", 67},       {"max_position_embeddings", 20},
      {"hidden_size", 24},        {"num_hidden_layers", 2}, {"num_attention_heads", 4},
      {"num_key_value_heads", 2}, {"head_dim", 8},          {"intermediate_size", 40},
      {"rms_norm_eps", 1e-5},     {"rope_theta", 10000.0}};
  hf.add("model.embed_tokens.weight", {67, 24});
  for (const char* layer : {"model.layers.0.", "model.layers.1."}) {
    const std::string h = layer;
    hf.add(h + "input_layernorm.weight", {24});
    hf.add(h + "self_attn.q_proj.weight", {32, 24});
    hf.add(h + "self_attn.k_proj.weight", {16, 24});
    hf.add(h + "self_attn.v_proj.weight", {16, 24});
    hf.add(h + "self_attn.o_proj.weight", {24, 32});
    hf.add(h + "post_attention_layernorm.weight", {24});
    hf.add(h + "mlp.gate_proj.weight", {40, 24});
    hf.add(h + "mlp.up_proj.weight", {40, 24});
    hf.add(h + "mlp.down_proj.weight", {24, 40});
  }
  hf.add("model.norm.weight", {24});
  hf.add("lm_head.weight", {67, 24});
  return hf;
}

/// One parameter of a source.
inline std::vector<float> read_param(const WeightSource& source, const std::string& name) {
  for (const ParamSpec& spec : parameter_specs(source.config())) {
    if (spec.name != name) continue;
    std::vector<float> values(spec.shape.size());
    source.read(spec, values);
    return values;
  }
  throw std::out_of_range(name);
}

/// Replaces a file without forcing it to the disk: tests do this thousands of times.
inline void overwrite(const io::Path& path, std::string_view contents) {
  io::remove_all(path);
  io::File::create(path).write(contents);
}

/// Opening must fail, naming file and reason, and change nothing on disk.
inline void expect_refused(const ScratchDirectory& scratch,
                           const std::vector<std::string>& mentions) {
  const auto before = scratch.contents();
  const std::string message = message_of<CheckpointError>([&] { HfWeights::open(scratch.path()); });
  for (const std::string& mention : mentions) expect_mentions(message, mention);
  EXPECT_EQ(scratch.contents(), before);
}

/// A config as a text that differs when any member does.
inline std::string describe(const ModelConfig& m) {
  return fmt::format("{} V{} T{} L{} C{} H{} G{} D{} F{} tie {} eps {} theta {} std {} gelu {}",
                     m.traits().name, m.vocab, m.context, m.layers, m.width, m.heads, m.kv_heads,
                     m.head_dim, m.mlp_width, m.tie, m.norm_eps, m.rope_theta, m.init_std,
                     m.gelu == op::Gelu::erf ? "erf" : "tanh");
}

}  // namespace motley::test
