#include "train/checkpoint_files.h"

#include <fmt/format.h>

#include "tensor/error.h"

namespace motley {
namespace {

std::vector<std::size_t> extents(const Shape& shape) {
  return {shape.begin(), shape.end()};
}

}  // namespace

std::vector<SafetensorsTensor> tensors_of(std::span<const ParamSpec> specs,
                                          const std::string& prefix) {
  std::vector<SafetensorsTensor> tensors;
  for (const ParamSpec& spec : specs)
    tensors.push_back({prefix + spec.name, Dtype::f32, extents(spec.shape)});
  return tensors;
}

void read_like(const SafetensorsReader& file, const std::string& name, const ParamSpec& spec,
               std::span<float> values) {
  const SafetensorsEntry& entry = file.get(name);
  require<CheckpointError>(
      entry.shape == extents(spec.shape), "ckpt.shape",
      "{}: {} has shape [{}], this model's is {}; the checkpoint is of another model",
      file.path().string(), name, fmt::join(entry.shape, ", "), to_string(spec.shape));
  file.read_f32(entry, values);
}

void check_num_tensors(const SafetensorsReader& file, std::size_t expected) {
  require<CheckpointError>(
      file.entries().size() == expected, "ckpt.tensors",
      "{} has {} tensors, this model and optimizer need {}; the checkpoint is of another "
      "model or optimizer",
      file.path().string(), file.entries().size(), expected);
}

}  // namespace motley
