// Text to tokens and back: byte-level BPE as in GPT-2, in Hugging Face's tokenizer.json. Any bytes
// can be encoded, and decoding gives them back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/io.h"
#include "train/tokenizer_file.h"

namespace motley {

/// Immutable and cheap to copy; threads may share one.
class Tokenizer {
 public:
  /// The smallest vocabulary: 256 bytes and <|endoftext|>.
  static constexpr std::size_t min_vocab_size = 257;
  static constexpr std::size_t max_vocab_size = 1'000'000;

  /// Reads a tokenizer.json. Throws DataError naming file and reason when it is damaged or of
  /// another kind (see tokenizer_file.h), IoError when it cannot be read.
  static Tokenizer load(const io::Path& path);
  /// The same from a file's text; `name` is what errors call it.
  static Tokenizer parse(std::string text, const std::string& name);

  /// Learns a vocabulary of `vocab_size` tokens, the last of them <|endoftext|>, or fewer when the
  /// texts have too few words. The same texts give the same tokenizer. Throws ConfigError for a
  /// vocab_size out of range.
  static Tokenizer train(std::span<const std::string_view> texts, std::size_t vocab_size);
  /// The same from files, read piece by piece. Throws IoError.
  static Tokenizer train_on_files(std::span<const io::Path> paths, std::size_t vocab_size);

  /// Writes the tokenizer.json, replacing what is there. A loaded tokenizer is written byte for
  /// byte.
  void save(const io::Path& path) const;

  /// The tokens of a text. Special tokens are never among them: "<|endoftext|>" in a text is text
  /// like any other, so that a text cannot end a document.
  std::vector<std::uint32_t> encode(std::string_view text) const;
  /// The bytes of the tokens, special tokens by their names. Throws DataError for an id out of
  /// range.
  std::string decode(std::span<const std::uint32_t> ids) const;
  /// The bytes of one token. Throws as decode() does.
  std::string_view token(std::uint32_t id) const;

  std::size_t vocab_size() const;
  std::size_t num_merges() const;
  /// The id of <|endoftext|>, which stands between documents.
  std::optional<std::uint32_t> end_of_text() const;
  /// XXH3-128 of the tokenizer.json, in hexadecimal: equal hashes mean equal tokens.
  const std::string& content_hash() const;

 private:
  struct Parts;
  explicit Tokenizer(std::shared_ptr<const Parts> parts) : parts_(std::move(parts)) {}
  std::shared_ptr<const Parts> parts_;
};

/// Decodes a stream of tokens into text that can be printed at once: what push() and finish()
/// return is whole UTF-8 characters, with U+FFFD in place of bytes that are none. A character may
/// span several tokens.
class StreamDecoder {
 public:
  explicit StreamDecoder(Tokenizer tokenizer) : tokenizer_(std::move(tokenizer)) {}

  /// The characters that this token completes; often one word, sometimes nothing.
  std::string push(std::uint32_t id);
  /// U+FFFD for a character that never was completed, else nothing.
  std::string finish();

 private:
  Tokenizer tokenizer_;
  std::string pending_;  // the start of a character
};

}  // namespace motley
