// The files of a checkpoint and how parameters lie in its safetensors; shared by those who write
// them (checkpoint.cpp) and those who only read weights (checkpoint_weights.cpp).
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "model/params.h"
#include "tensor/safetensors.h"

namespace motley {

namespace checkpoint_files {
inline constexpr const char* model = "model.safetensors";
inline constexpr const char* optimizer = "optim.safetensors";
inline constexpr const char* state = "state.json";
inline constexpr const char* config = "config.toml";
inline constexpr const char* tokenizer = "tokenizer.json";
}  // namespace checkpoint_files

/// The declarations of f32 tensors like these parameters, each name after `prefix`.
std::vector<SafetensorsTensor> tensors_of(std::span<const ParamSpec> specs,
                                          const std::string& prefix = "");
/// Reads a tensor that has a parameter's shape. Throws CheckpointError when it is missing or has
/// another shape.
void read_like(const SafetensorsReader& file, const std::string& name, const ParamSpec& spec,
               std::span<float> values);
/// Opens a file of a checkpoint. Throws CheckpointError when it is missing, or has not exactly
/// these tensors with these shapes.
SafetensorsReader open_tensors(const io::Path& checkpoint, const char* name,
                               std::span<const SafetensorsTensor> expected);

}  // namespace motley
