// Tokens to train on or to evaluate with: the shards of one split, read as one long sequence.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "tensor/io.h"
#include "train/data_manifest.h"
#include "train/token_shard.h"

namespace motley {

/// What opening a data directory checks: names and sizes, or the contents as well (reads every
/// byte).
enum class Verify { sizes, hashes };

/// The concatenation of some shards. Samples of T tokens follow each other without gaps and may
/// cross from one shard into the next, so that how the tokens were cut into files changes nothing.
/// Reading is const and may happen on several threads at once.
class Dataset {
 public:
  /// Opens a data directory's split, or a single shard. A shard alone says neither its vocabulary
  /// nor its text's size. Throws DataError, naming the file, for whatever is missing or differs
  /// from the manifest, and when the split is empty.
  static Dataset open(const io::Path& path, Split split, Verify verify = Verify::sizes);
  /// Opens shards in the given order.
  static Dataset open_shards(std::span<const io::Path> paths);

  std::uint64_t num_tokens() const { return starts_.back(); }
  /// Samples of T inputs and T targets: floor((tokens - 1) / T). T must not be 0.
  std::uint64_t num_samples(std::size_t T) const;
  std::size_t num_shards() const { return shards_.size(); }
  const ShardReader& shard(std::size_t i) const { return shards_.at(i); }
  /// The tokenizer's vocabulary, where a manifest names it.
  std::optional<std::size_t> vocab_size() const;
  /// Bytes of the text that the split was made from, where a manifest names it.
  std::optional<std::uint64_t> text_bytes() const;
  /// The manifest, where there is one.
  const std::optional<DataManifest>& manifest() const { return manifest_; }

  /// Declares that every token read must be below vocab_size (a model's). Throws DataError when the
  /// data were made for a larger vocabulary.
  void limit_vocabulary(std::size_t vocab_size);

  /// Tokens [first, first + tokens.size()) of the concatenation. Throws DataError naming shard and
  /// position for a token outside the vocabulary.
  void read(std::uint64_t first, std::span<std::uint32_t> tokens) const;
  /// Sample `index`: tokens [index * T, index * T + T] where tokens.size() is T + 1, so that inputs
  /// are the first T and targets the last T.
  void read_sample(std::uint64_t index, std::span<std::uint32_t> tokens) const;

 private:
  Dataset() = default;
  static Dataset open_directory(const io::Path& directory, Split split, Verify verify);
  void add(const io::Path& path);

  std::vector<ShardReader> shards_;
  std::vector<std::uint64_t> starts_{
      0};  // of each shard in the concatenation, and the end of the last
  std::size_t max_vocab_size_ = std::size_t{1} << 32;
  std::optional<DataManifest> manifest_;
  Split split_ = Split::train;
};

}  // namespace motley
