// manifest.json of a data directory: what `motley data prepare` wrote, so that every later reader
// can check that it still holds. The file is read as strictly as it is written: an unknown version,
// a missing field or a name that leaves the directory is a DataError.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/io.h"
#include "train/tokenizer.h"

namespace motley {

enum class Split { train, validation };
/// "train" or "val", as in the manifest and in the names of shards.
std::string_view name_of(Split split);

/// One shard as it was when it was written.
struct ManifestShard {
  std::string file;         ///< name within the data directory
  std::uint64_t bytes = 0;  ///< of the whole file
  std::uint64_t tokens = 0;
  std::string hash;  ///< XXH3-128 of the whole file, 32 hexadecimal digits
};

/// One split: its shards in reading order.
struct ManifestSplit {
  std::vector<ManifestShard> shards;
  std::uint64_t tokens = 0;      ///< of all shards, <|endoftext|> included
  std::uint64_t text_bytes = 0;  ///< of the source text: the denominator of bits per byte
  std::uint64_t documents = 0;
};

struct DataManifest {
  static constexpr int format_version = 1;

  std::size_t vocab_size = 0;
  std::string tokenizer_file;  ///< name within the data directory
  std::string tokenizer_hash;  ///< Tokenizer::content_hash()
  ManifestSplit train;
  ManifestSplit validation;  ///< may have no shards

  const ManifestSplit& split(Split which) const {
    return which == Split::train ? train : validation;
  }
  ManifestSplit& split(Split which) { return which == Split::train ? train : validation; }

  static io::Path path_in(const io::Path& directory) { return directory / "manifest.json"; }
  /// Reads the manifest of a data directory. Throws DataError naming the file and the field.
  static DataManifest read(const io::Path& directory);
  /// The tokenizer of the data directory. Throws DataError naming the file when it is missing or is
  /// not the one that the data were made with.
  Tokenizer load_tokenizer(const io::Path& directory) const;
  /// Writes it, replacing one that is there in one step.
  void write(const io::Path& directory) const;
};

}  // namespace motley
