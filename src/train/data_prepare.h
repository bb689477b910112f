// From text to token shards: `motley data prepare`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/io.h"
#include "train/data_manifest.h"
#include "train/text_source.h"

namespace motley {

/// A plain text is one document; a JSONL file has one a line, in one field of an object.
enum class TextFormat { plain, jsonl };
enum class ExistingOutput { refuse, overwrite };

/// How much of the text goes to the validation split.
struct ValidationPart {
  double fraction = 0.05;    ///< of the text, 0 to 0.5
  std::uint64_t tokens = 0;  ///< when not 0, about so many tokens in place of a fraction

  /// "5%", a number of tokens, or "0" for no validation split. Throws ConfigError.
  static ValidationPart parse(std::string_view text);
};

struct PrepareSettings {
  std::vector<io::Path> files = {};
  io::Path tokenizer = {};  ///< a tokenizer.json with <|endoftext|>
  io::Path output = {};
  TextFormat format = TextFormat::plain;
  std::string field = "text";  ///< of a JSONL object
  ValidationPart validation = {};
  std::uint64_t shard_tokens = 100'000'000;
  ExistingOutput existing = ExistingOutput::refuse;
  std::size_t piece_bytes = default_piece_bytes;
};

/// Writes a data directory: shards of both splits, a copy of the tokenizer, and the manifest.
///
/// Every k-th document is for validation, where k = 1 / fraction; of plain texts fewer than k, the
/// last part of each text. The choice depends on the input alone. <|endoftext|> stands before each
/// document; empty documents are left out. A number of validation tokens is turned into a fraction
/// by tokenizing everything once more. All is written to OUTPUT.partial and renamed at the end: a
/// failure leaves OUTPUT as it was. An output directory that holds anything is refused, or, to
/// overwrite, one that holds anything but what an earlier call wrote. Throws ConfigError, DataError
/// naming file and line, and IoError.
DataManifest prepare_data(const PrepareSettings& settings);

}  // namespace motley
