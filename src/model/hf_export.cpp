// Writing Hugging Face directories.
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>

#include "model/hf_config.h"
#include "model/hf_index.h"
#include "model/hf_names.h"
#include "model/hf_weights.h"
#include "tensor/draft_directory.h"
#include "tensor/error.h"
#include "tensor/half.h"

namespace motley {
namespace {

/// One tensor to write, and the parameter it is cut from.
struct Part {
  ParamSpec spec;
  HfPiece piece;
};

/// Parts file by file, each file filled up to the limit.
std::vector<std::vector<Part>> plan_files(const ModelConfig& config,
                                          const HfExportSettings& settings) {
  std::vector<std::vector<Part>> files(1);
  std::uint64_t bytes = 0;
  for (const ParamSpec& spec : parameter_specs(config)) {
    for (const HfPiece& piece : hf_pieces(config, spec)) {
      const std::uint64_t size = piece.size() * size_of(settings.dtype);
      if (!files.back().empty() && bytes + size > settings.max_file_bytes) {
        files.emplace_back();
        bytes = 0;
      }
      files.back().push_back({spec, piece});
      bytes += size;
    }
  }
  return files;
}

std::string file_name(std::size_t index, std::size_t count) {
  if (count == 1) return "model.safetensors";
  return fmt::format("model-{:05}-of-{:05}.safetensors", index + 1, count);
}

/// A parameter's rows as the file has them.
std::vector<float> stored_values(std::span<const float> values, const HfPiece& piece) {
  const auto rows = piece.rows_of(values);
  if (piece.layout == Layout::out_in) return {rows.begin(), rows.end()};
  std::vector<float> stored(rows.size());
  transpose(stored, rows, piece.num_rows, piece.num_columns);
  return stored;
}

/// Throws when narrowing made an infinity of a finite value.
void check_range(const std::string& name, std::span<const float> values,
                 std::span<const std::byte> bytes, Dtype dtype) {
  if (dtype == Dtype::f32) return;
  std::vector<float> narrowed(values.size());
  convert_to_f32(narrowed, bytes, dtype);
  for (std::size_t i = 0; i < values.size(); ++i) {
    require<ConfigError>(!std::isfinite(values[i]) || std::isfinite(narrowed[i]), "export.range",
                         "{} holds {}, which {} cannot; export as f32", name, values[i],
                         name_of(dtype));
  }
}

void write_values(SafetensorsWriter& file, const std::string& name, std::span<const float> values,
                  Dtype dtype) {
  std::vector<std::byte> bytes(values.size() * size_of(dtype));
  convert_from_f32(bytes, values, dtype);
  check_range(name, values, bytes, dtype);
  file.write(name, bytes);
}

void write_file(const WeightSource& source, const io::Path& path, const std::vector<Part>& parts,
                Dtype dtype) {
  std::vector<SafetensorsTensor> tensors;
  tensors.reserve(parts.size());
  for (const Part& part : parts) {
    tensors.push_back({part.piece.name, dtype, part.piece.file_shape()});
  }
  SafetensorsWriter file(path, tensors);
  std::string read_name;
  std::vector<float> values;
  for (const Part& part : parts) {
    if (part.spec.name != read_name) {
      values.resize(part.spec.shape.size());
      source.read(part.spec, values);
      read_name = part.spec.name;
    }
    write_values(file, part.piece.name, stored_values(values, part.piece), dtype);
  }
  file.finish();
}

void write_index(const io::Path& directory, const std::vector<std::vector<Part>>& files,
                 Dtype dtype) {
  nlohmann::ordered_json map = nlohmann::ordered_json::object();
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < files.size(); ++i) {
    for (const Part& part : files[i]) {
      map[part.piece.name] = file_name(i, files.size());
      total += part.piece.size() * size_of(dtype);
    }
  }
  const nlohmann::ordered_json root{{"metadata", {{"total_size", total}}}, {"weight_map", map}};
  io::write_text_atomically(directory / HfIndex::file_name, root.dump(2) + "\n");
}

std::string tokenizer_config_text(const ModelConfig& config, const HfExportSettings& settings) {
  nlohmann::ordered_json root{{"tokenizer_class", "PreTrainedTokenizerFast"},
                              {"model_max_length", config.context}};
  if (settings.end_of_text) {
    for (const char* key : {"bos_token", "eos_token"}) root[key] = "<|endoftext|>";
  }
  return root.dump(2) + "\n";
}

}  // namespace

void export_hf(const WeightSource& source, const io::Path& directory,
               const HfExportSettings& settings) {
  require<ConfigError>(!io::exists(directory), "export.exists", "{} exists; give a new directory",
                       directory.string());
  DraftDirectory draft(directory, ".motley-draft");
  const auto files = plan_files(source.config(), settings);
  for (std::size_t i = 0; i < files.size(); ++i) {
    write_file(source, draft.path() / file_name(i, files.size()), files[i], settings.dtype);
  }
  if (files.size() > 1) write_index(draft.path(), files, settings.dtype);
  const HfConfigExtras extras{settings.dtype, settings.end_of_text};
  io::write_text_atomically(draft.path() / "config.json", hf_config_text(source.config(), extras));
  if (!source.tokenizer().empty()) {
    io::write_text_atomically(draft.path() / "tokenizer.json", io::read_text(source.tokenizer()));
    io::write_text_atomically(draft.path() / "tokenizer_config.json",
                              tokenizer_config_text(source.config(), settings));
  }
  draft.commit();
}

}  // namespace motley
