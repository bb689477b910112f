// config.json of a Hugging Face directory, for GPT-2 and Llama.
#pragma once

#include <optional>
#include <string>

#include "model/config.h"
#include "tensor/dtype.h"
#include "tensor/io.h"

namespace motley {

/// The model that a config.json describes. Reads both places of rope_theta (top level, and
/// rope_parameters of transformers 5). Throws CheckpointError naming the file and the key for an
/// architecture or an option that this program does not have.
ModelConfig read_hf_config(const io::Path& path);

/// What transformers needs besides the shape.
struct HfConfigExtras {
  Dtype dtype = Dtype::f32;
  /// The token that starts and ends a text, where the tokenizer has one.
  std::optional<std::size_t> end_of_text = {};
};

/// The text of a config.json that transformers 4 and 5 load.
std::string hf_config_text(const ModelConfig& config, const HfConfigExtras& extras);

}  // namespace motley
