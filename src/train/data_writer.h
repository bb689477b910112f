// Writes one split of a data directory: a stream of documents becomes shards of equal length.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "tensor/io.h"
#include "train/data_manifest.h"
#include "train/token_shard.h"

namespace motley {

/// Shards are named <split>_000000.bin and so on; a document may go on in the next shard.
class SplitWriter {
 public:
  /// `directory` exists and holds no shards of this split. Every shard but the last has
  /// shard_tokens.
  SplitWriter(const io::Path& directory, Split split, std::size_t vocab_size,
              std::uint64_t shard_tokens);

  /// Starts a document with the separator, which llm.c puts before a document and not behind it.
  void begin_document(std::uint32_t end_of_text);
  /// Appends tokens of the document, made from text_bytes bytes.
  void append(std::span<const std::uint32_t> tokens, std::uint64_t text_bytes);
  /// Completes the last shard; returns what the manifest says about the split.
  ManifestSplit finish();

 private:
  void append_tokens(std::span<const std::uint32_t> tokens);
  void finish_shard();

  io::Path directory_;
  Split split_;
  std::size_t vocab_size_;
  std::uint64_t shard_tokens_;
  std::optional<ShardWriter> shard_;
  ManifestSplit written_;
};

}  // namespace motley
