// Token shards: llm.c's `.bin` files. A header of 256 little-endian 32-bit words (magic, version,
// number of tokens), then the tokens: version 1 holds 16-bit tokens, version 7 32-bit ones. Our one
// addition, for shards of 2^31 tokens and more: words 3 and 4 hold the low and high half of a
// 64-bit count, and word 2 is 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tensor/hash.h"
#include "tensor/io.h"

namespace motley {

inline constexpr std::uint64_t shard_header_bytes = 1024;
/// The largest vocabulary whose shards hold 16-bit tokens.
inline constexpr std::size_t max_u16_vocabulary = 65'535;

/// The two layouts, by the version number in the header.
enum class ShardVersion : std::int32_t { u16 = 1, u32 = 7 };

/// Bytes of one token.
constexpr std::size_t token_bytes(ShardVersion version) {
  return version == ShardVersion::u16 ? 2 : 4;
}
/// The version that data for this vocabulary is written in.
constexpr ShardVersion shard_version_for(std::size_t vocab_size) {
  return vocab_size <= max_u16_vocabulary ? ShardVersion::u16 : ShardVersion::u32;
}

/// Reads any range of one shard. Reading is const and may happen on several threads at once.
class ShardReader {
 public:
  /// Opens a shard and checks its header against its size. Throws DataError naming file and reason,
  /// IoError when the file cannot be opened.
  explicit ShardReader(const io::Path& path);

  ShardVersion version() const { return version_; }
  std::uint64_t num_tokens() const { return num_tokens_; }
  std::uint64_t size() const { return shard_header_bytes + num_tokens_ * token_bytes(version_); }
  const io::Path& path() const { return file_.path(); }

  /// Reads tokens [first, first + tokens.size()). Throws DataError when the range leaves the shard.
  void read(std::uint64_t first, std::span<std::uint32_t> tokens) const;

 private:
  io::File file_;
  ShardVersion version_ = ShardVersion::u16;
  std::uint64_t num_tokens_ = 0;
};

/// Throws DataError, naming file and position, when one of the tokens is not below vocab_size.
/// `first` is the position of tokens[0] in the shard.
void check_token_range(const io::Path& path, std::uint64_t first,
                       std::span<const std::uint32_t> tokens, std::size_t vocab_size);

/// Writes one new shard. Without finish() the file has no valid header and no reader accepts it.
class ShardWriter {
 public:
  /// Creates the file; one that exists is an IoError.
  ShardWriter(const io::Path& path, std::size_t vocab_size);

  std::uint64_t num_tokens() const { return num_tokens_; }
  std::uint64_t size() const { return shard_header_bytes + num_tokens_ * token_bytes(version_); }
  const io::Path& path() const { return file_.path(); }

  /// Appends tokens. Throws DataError when one is not below the vocabulary's size.
  void append(std::span<const std::uint32_t> tokens);
  /// Writes the header, forces the file to the disk and closes it.
  void finish();

 private:
  io::File file_;
  std::size_t vocab_size_;
  ShardVersion version_;
  std::uint64_t num_tokens_ = 0;
  std::vector<std::uint16_t> narrow_;
};

}  // namespace motley
