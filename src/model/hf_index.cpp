#include "model/hf_index.h"

#include <algorithm>

#include "tensor/error.h"
#include "tensor/json.h"

namespace motley {

HfIndex HfIndex::read(const io::Path& directory) {
  HfIndex index;
  index.directory_ = directory;
  const json::Value map =
      json::read(directory / file_name, json::Kind::checkpoint).get("weight_map");
  for (const std::string& tensor : map.keys()) {  // sorted
    const json::Value file = map.get(tensor);
    const std::string& name = file.as_file_name();
    if (!name.ends_with(".safetensors")) file.refuse("is no safetensors file; no others are read");
    index.files_[name].push_back(tensor);
  }
  if (index.files_.empty()) map.refuse("names no tensor");
  return index;
}

std::vector<SafetensorsReader> HfIndex::open_files() const {
  std::vector<SafetensorsReader> files;
  for (const auto& [name, tensors] : files_) {
    const io::Path path = directory_ / name;
    require<CheckpointError>(io::exists(path), "hf.missing", "{} is missing; {} names it",
                             path.string(), (directory_ / file_name).string());
    files.push_back(SafetensorsReader::open(path));
    check(name, files.back());
  }
  return files;
}

void HfIndex::check(const std::string& name, const SafetensorsReader& file) const {
  const std::vector<std::string>& listed = files_.at(name);
  for (const std::string& tensor : listed) {
    require<CheckpointError>(file.find(tensor) != nullptr, "hf.missing",
                             "{}: tensor {} is missing; {} says it is there", file.path().string(),
                             tensor, (directory_ / file_name).string());
  }
  for (const SafetensorsEntry& entry : file.entries()) {
    require<CheckpointError>(
        std::binary_search(listed.begin(), listed.end(), entry.name), "hf.unknown",
        "{}: tensor {} is there, but not in {}; the files are of different models",
        file.path().string(), entry.name, (directory_ / file_name).string());
  }
}

}  // namespace motley
