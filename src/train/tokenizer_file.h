// Hugging Face's tokenizer.json, as far as it describes GPT-2's kind of tokenizer: byte-level BPE,
// nothing done to the text before or to the tokens after. Every other kind is refused by name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "train/bpe_trainer.h"

namespace motley {

inline constexpr std::string_view end_of_text_name = "<|endoftext|>";

/// What the file describes.
struct TokenizerContent {
  BpeVocabulary vocabulary;             // special tokens too have a row: their name
  std::vector<std::uint32_t> specials;  // ids of tokens that stand for no text
  std::optional<std::uint32_t> end_of_text;
};

/// Reads a file's text; `name` is what errors call it. Merges may be "a b" strings (older files) or
/// ["a", "b"] pairs. Throws DataError naming the place for anything damaged, inconsistent or not
/// supported.
TokenizerContent parse_tokenizer_file(std::string_view text, const std::string& name);

/// The text of a file that `tokenizers` and `transformers` of all versions load: merges are "a b"
/// strings.
std::string format_tokenizer_file(const TokenizerContent& content);

}  // namespace motley
