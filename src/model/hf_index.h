// The index of a model that lies in several files: model.safetensors.index.json.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tensor/safetensors.h"

namespace motley {

/// Which tensor lies in which file of the directory.
class HfIndex {
 public:
  static constexpr const char* file_name = "model.safetensors.index.json";

  /// Reads the index of a directory. File names that could lead out of it are refused, for an index
  /// may come from anyone. Throws CheckpointError naming the file and the tensor.
  static HfIndex read(const io::Path& directory);

  /// Opens every file that is named. Throws CheckpointError when one is missing, or holds other
  /// tensors than the index says.
  std::vector<SafetensorsReader> open_files() const;

 private:
  void check(const std::string& name, const SafetensorsReader& file) const;

  io::Path directory_;
  std::map<std::string, std::vector<std::string>> files_;  // name -> its tensors, sorted
};

}  // namespace motley
