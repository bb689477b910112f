#include "model/hf_weights.h"

#include <fmt/format.h>

#include <set>

#include "model/hf_config.h"
#include "model/hf_names.h"
#include "tensor/error.h"
#include "tensor/json.h"

namespace motley {
namespace {

constexpr const char* single_file = "model.safetensors";
constexpr const char* index_file = "model.safetensors.index.json";
constexpr std::string_view gpt2_prefix = "transformer.";

/// The files of an index. Their names must be plain: an index may come from anyone.
std::set<std::string> indexed_files(const io::Path& path) {
  const json::Value map = json::read(path, json::Kind::checkpoint).get("weight_map");
  std::set<std::string> names;
  for (const std::string& tensor : map.keys()) {
    const std::string& name = map.get(tensor).as_string();
    const bool plain = name.find_first_not_of(
                           "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
                           std::string::npos &&
                       !name.empty() && name[0] != '.';
    if (!plain) map.get(tensor).refuse("must be the plain name of a file in the same directory");
    names.insert(name);
  }
  return names;
}

/// out[r, c] = in[c, r]. in: [columns, rows].
void transpose(std::span<float> out, std::span<const float> in, std::size_t rows,
               std::size_t columns) {
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < columns; ++c) out[r * columns + c] = in[c * rows + r];
  }
}

}  // namespace

HfWeights HfWeights::open(const io::Path& directory) {
  const io::Path config = directory / "config.json";
  require<CheckpointError>(io::exists(config), "hf.missing",
                           "{} has no config.json; it is no Hugging Face directory",
                           directory.string());
  HfWeights weights(directory, read_hf_config(config));
  weights.open_files();
  weights.check_tensors();
  return weights;
}

void HfWeights::open_files() {
  if (io::exists(directory_ / single_file)) {
    files_.push_back(SafetensorsReader::open(directory_ / single_file));
    return;
  }
  require<CheckpointError>(io::exists(directory_ / index_file), "hf.missing",
                           "{} has neither {} nor {}; weights in other formats are not read",
                           directory_.string(), single_file, index_file);
  for (const std::string& name : indexed_files(directory_ / index_file)) {
    files_.push_back(SafetensorsReader::open(directory_ / name));
  }
}

std::pair<const SafetensorsReader*, const SafetensorsEntry*> HfWeights::find(
    const std::string& name) const {
  const bool prefixed = name.compare(0, gpt2_prefix.size(), gpt2_prefix) == 0;
  for (const SafetensorsReader& file : files_) {
    if (const SafetensorsEntry* entry = file.find(name)) return {&file, entry};
    if (!prefixed) continue;
    if (const SafetensorsEntry* entry = file.find(name.substr(gpt2_prefix.size())))
      return {&file, entry};
  }
  return {nullptr, nullptr};
}

void HfWeights::check_tensors() const {
  std::set<std::string> used;
  for (const ParamSpec& spec : parameter_specs(config_)) {
    for (const HfPiece& piece : hf_pieces(config_, spec)) {
      const auto [file, entry] = find(piece.name);
      require<CheckpointError>(entry != nullptr, "hf.missing", "{}: tensor {} is missing",
                               directory_.string(), piece.name);
      require<CheckpointError>(entry->shape == piece.file_shape(), "hf.shape",
                               "{}: tensor {} has shape [{}]; config.json makes it [{}]",
                               file->path().string(), entry->name, fmt::join(entry->shape, ", "),
                               fmt::join(piece.file_shape(), ", "));
      used.insert(entry->name);
    }
  }
  for (const SafetensorsReader& file : files_) {
    for (const SafetensorsEntry& entry : file.entries()) {
      require<CheckpointError>(
          used.count(entry.name) != 0 || is_ignorable_hf_tensor(config_, entry.name), "hf.unknown",
          "{}: tensor {} belongs to nothing in a {} model", file.path().string(), entry.name,
          config_.traits().name);
    }
  }
}

void HfWeights::read(const ParamSpec& spec, std::span<float> values) const {
  for (const HfPiece& piece : hf_pieces(config_, spec)) {
    const auto [file, entry] = find(piece.name);
    const std::size_t columns = piece.num_columns == 0 ? 1 : piece.num_columns;
    const std::span<float> rows = values.subspan(piece.first_row * columns, piece.size());
    if (piece.layout == Layout::out_in) {
      file->read_f32(*entry, rows);
      continue;
    }
    std::vector<float> stored(rows.size());
    file->read_f32(*entry, stored);
    transpose(rows, stored, piece.num_rows, columns);
  }
}

io::Path HfWeights::tokenizer() const {
  const io::Path path = directory_ / "tokenizer.json";
  return io::exists(path) ? path : io::Path();
}

}  // namespace motley
