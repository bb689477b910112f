#include "model/hf_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "model/hf_config.h"
#include "model/hf_index.h"
#include "model/hf_names.h"
#include "tensor/error.h"

namespace motley {
namespace {

constexpr const char* single_file = "model.safetensors";
constexpr std::string_view gpt2_prefix = "transformer.";

bool is_real(const SafetensorsEntry& entry) {
  return entry.dtype == Dtype::f32 || entry.dtype == Dtype::f16 || entry.dtype == Dtype::bf16;
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
  weights.check_tied_head();
  return weights;
}

void HfWeights::open_files() {
  if (io::exists(directory_ / single_file)) {
    contents_ = directory_ / single_file;
    files_.push_back(SafetensorsReader::open(contents_));
    return;
  }
  contents_ = directory_ / HfIndex::file_name;
  require<CheckpointError>(io::exists(contents_), "hf.missing",
                           "{} has neither {} nor {}; weights in other formats are not read",
                           directory_.string(), single_file, HfIndex::file_name);
  files_ = HfIndex::read(directory_).open_files();
}

HfWeights::Found HfWeights::find(const std::string& name) const {
  for (const SafetensorsReader& file : files_) {
    if (const SafetensorsEntry* entry = file.find(name)) return {&file, entry};
    if (!name.starts_with(gpt2_prefix)) continue;
    if (const SafetensorsEntry* entry = file.find(name.substr(gpt2_prefix.size())))
      return {&file, entry};
  }
  return {};
}

HfWeights::Found HfWeights::get(const std::string& name,
                                const std::vector<std::size_t>& shape) const {
  const Found found = find(name);
  require<CheckpointError>(found.entry != nullptr, "hf.missing",
                           "{}: tensor {} is missing; config.json describes a model that has it",
                           contents_.string(), name);
  require<CheckpointError>(found.entry->shape == shape, "hf.shape",
                           "{}: tensor {} has shape [{}]; config.json makes it [{}]",
                           found.file->path().string(), found.entry->name,
                           fmt::join(found.entry->shape, ", "), fmt::join(shape, ", "));
  require<CheckpointError>(is_real(*found.entry), "hf.dtype",
                           "{}: tensor {} is of type {}; F32, F16 and BF16 are read",
                           found.file->path().string(), found.entry->name, found.entry->dtype_name);
  return found;
}

void HfWeights::check_tensors() const {
  std::set<std::string> used;
  for (const ParamSpec& spec : parameter_specs(config_)) {
    for (const HfPiece& piece : hf_pieces(config_, spec)) {
      used.insert(get(piece.name, piece.file_shape()).entry->name);
    }
  }
  for (const SafetensorsReader& file : files_) {
    for (const SafetensorsEntry& entry : file.entries()) {
      require<CheckpointError>(
          used.count(entry.name) != 0 || is_ignorable_hf_tensor(config_, entry.name), "hf.unknown",
          "{}: tensor {} belongs to nothing in a {} model like config.json's", file.path().string(),
          entry.name, config_.traits().name);
    }
  }
}

/// A file that repeats the tied embedding as the head must repeat it exactly; otherwise it was
/// trained untied, and dropping the head would make another model of it.
void HfWeights::check_tied_head() const {
  if (!config_.tie || find(hf_head).entry == nullptr) return;
  constexpr std::size_t values_at_a_time = std::size_t{1} << 20;
  const std::size_t size = config_.vocab * config_.width;
  const auto specs = parameter_specs(config_);
  const auto embed = std::find_if(specs.begin(), specs.end(), [](const ParamSpec& spec) {
    return spec.name == "embed.weight";
  });
  const std::vector<std::size_t> shape{config_.vocab, config_.width};
  const Found head = get(hf_head, shape);
  const Found table = get(hf_pieces(config_, *embed).front().name, shape);
  std::vector<float> a;
  std::vector<float> b;
  for (std::size_t first = 0; first < size; first += values_at_a_time) {
    a.resize(std::min(values_at_a_time, size - first));
    b.resize(a.size());
    head.file->read_f32(*head.entry, a, first);
    table.file->read_f32(*table.entry, b, first);
    require<CheckpointError>(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0,
                             "hf.tied",
                             "{}: {} differs from {}, but config.json ties them; set "
                             "tie_word_embeddings to false",
                             head.file->path().string(), hf_head, table.entry->name);
  }
}

void HfWeights::read(const ParamSpec& spec, std::span<float> values) const {
  std::vector<float> stored;
  for (const HfPiece& piece : hf_pieces(config_, spec)) {
    const auto [file, entry] = get(piece.name, piece.file_shape());
    const std::span<float> rows = piece.rows_of(values);
    if (piece.layout == Layout::out_in) {
      file->read_f32(*entry, rows);
      continue;
    }
    stored.resize(rows.size());
    file->read_f32(*entry, stored);
    transpose(rows, stored, piece.num_columns, piece.num_rows);
  }
}

io::Path HfWeights::tokenizer() const {
  const io::Path path = directory_ / "tokenizer.json";
  return io::exists(path) ? path : io::Path();
}

}  // namespace motley
