#include "train/checkpoint_files.h"

#include <fmt/format.h>

#include "tensor/error.h"

namespace motley {
namespace {

std::vector<std::size_t> extents(const Shape& shape) {
  return {shape.begin(), shape.end()};
}

void check_shape(const SafetensorsReader& file, const SafetensorsEntry& entry,
                 const std::vector<std::size_t>& shape) {
  require<CheckpointError>(
      entry.shape == shape, "ckpt.shape",
      "{}: {} has shape [{}], this model's is [{}]; the checkpoint is of another model",
      file.path().string(), entry.name, fmt::join(entry.shape, ", "), fmt::join(shape, ", "));
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
  check_shape(file, entry, extents(spec.shape));
  file.read_f32(entry, values);
}

SafetensorsReader open_tensors(const io::Path& checkpoint, const char* name,
                               std::span<const SafetensorsTensor> expected) {
  const io::Path path = checkpoint / name;
  require<CheckpointError>(io::exists(path), "ckpt.missing",
                           "{} is missing; where a checkpoint holds weights alone, start a new run "
                           "with --train.init_from {}",
                           path.string(), checkpoint.string());
  SafetensorsReader file = SafetensorsReader::open(path);
  require<CheckpointError>(
      file.entries().size() == expected.size(), "ckpt.tensors",
      "{} has {} tensors, this model and optimizer need {}; the checkpoint is of another "
      "model or optimizer",
      path.string(), file.entries().size(), expected.size());
  for (const SafetensorsTensor& tensor : expected) {
    check_shape(file, file.get(tensor.name), tensor.shape);
  }
  return file;
}

}  // namespace motley
