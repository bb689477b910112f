// Hugging Face directories: config.json with model.safetensors, or with several files and their
// index.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model/weight_source.h"
#include "tensor/safetensors.h"

namespace motley {

/// Reads GPT-2 and Llama models in F32, F16 or BF16.
class HfWeights final : public WeightSource {
 public:
  /// Opens config.json and every weight file, and checks that each parameter is there with its
  /// shape and that nothing unknown is. Throws CheckpointError naming the file and the tensor.
  static HfWeights open(const io::Path& directory);

  const ModelConfig& config() const override { return config_; }
  void read(const ParamSpec& spec, std::span<float> values) const override;
  io::Path tokenizer() const override;

 private:
  struct Found {
    const SafetensorsReader* file = nullptr;
    const SafetensorsEntry* entry = nullptr;
  };

  HfWeights(io::Path directory, ModelConfig config)
      : directory_(std::move(directory)), config_(config) {}
  void open_files();
  void check_tensors() const;
  void check_tied_head() const;
  /// A tensor, with or without GPT-2's "transformer." prefix; nulls when it is missing.
  Found find(const std::string& name) const;
  /// The tensor of a piece. Throws CheckpointError when it is missing or not as it must be.
  Found get(const std::string& name, const std::vector<std::size_t>& shape) const;

  io::Path directory_;
  ModelConfig config_;
  io::Path contents_;  // the file that lists all tensors
  std::vector<SafetensorsReader> files_;
};

struct HfExportSettings {
  Dtype dtype = Dtype::f32;  // or f16, bf16
  /// Weights beyond this many bytes go to a further file, as transformers does.
  std::uint64_t max_file_bytes = std::uint64_t{5} * 1000 * 1000 * 1000;
  std::optional<std::size_t> end_of_text = {};
};

/// Writes `directory`, which must not exist, so that transformers loads it: config.json, weights
/// and the tokenizer. It appears in one step, complete. Throws ConfigError when the directory
/// exists or a weight is beyond what the dtype can hold.
void export_hf(const WeightSource& source, const io::Path& directory,
               const HfExportSettings& settings);

}  // namespace motley
