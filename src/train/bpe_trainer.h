// Learns byte-pair merges from text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "train/bpe.h"

namespace motley {

/// Tokens by id as bytes, the 256 single bytes first (in GPT-2's order), and the merges that make
/// the rest.
struct BpeVocabulary {
  std::vector<std::string> tokens;
  std::vector<Merge> merges;
};

/// Counts the words of texts, then merges the most frequent pair again and again. The result
/// depends only on how often each word occurs, not on the order or the cutting of the texts; of
/// equally frequent pairs the one with the lower ids is merged first, as Hugging Face's
/// `tokenizers` does. Memory grows with the number of different words.
class BpeTrainer {
 public:
  /// Counts the words of a text. Texts cut inside a word count its parts.
  void add(std::string_view text);

  /// Learns merges until there are `num_tokens` tokens (at least 256) or no pair occurs twice.
  /// Takes time in proportion to the occurrences that merging changes.
  BpeVocabulary train(std::size_t num_tokens) const;

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };
  std::unordered_map<std::string, std::int64_t, Hash, std::equal_to<>> word_counts_;
};

}  // namespace motley
