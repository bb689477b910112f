#include "train/bpe_trainer.h"

#include <algorithm>
#include <array>
#include <queue>
#include <span>
#include <tuple>
#include <utility>

#include "tensor/checked.h"
#include "train/byte_alphabet.h"
#include "train/pre_split.h"

namespace motley {
namespace {

/// A pair seen once makes a token that no other text is likely to use.
constexpr std::int64_t min_pair_count = 2;

using Pair = std::uint64_t;  // left id in the upper half, so that pairs compare as (left, right)

Pair pair_of(std::uint32_t left, std::uint32_t right) {
  return (Pair{left} << 32) | right;
}

struct Word {
  std::vector<std::uint32_t> tokens;
  std::int64_t count = 0;
};

struct PairUse {
  std::int64_t count = 0;
  std::vector<std::uint32_t> words;  // where the pair was seen; it may be gone from some
};

struct Candidate {
  std::int64_t count = 0;
  Pair pair = 0;
  /// The queue's top is the largest: more frequent, then lower ids.
  bool operator<(const Candidate& other) const {
    return std::tie(count, other.pair) < std::tie(other.count, pair);
  }
};

/// The state of training: words as tokens, and for each pair its count and its words, kept up to
/// date.
class Training {
 public:
  explicit Training(std::vector<Word> words) : words_(std::move(words)) {
    for (std::uint32_t w = 0; w < words_.size(); ++w) {
      const std::vector<std::uint32_t>& tokens = words_[w].tokens;
      for (std::size_t i = 0; i + 1 < tokens.size(); ++i) change(w, tokens[i], tokens[i + 1], +1);
    }
    push_grown();
  }

  /// The most frequent pair, taken off; its count is 0 when nothing is left.
  Candidate pop() {
    while (!queue_.empty()) {
      const Candidate top = queue_.top();
      queue_.pop();
      const std::int64_t now = pairs_[top.pair].count;
      if (now == top.count) return top;
      // Counts that fall are not followed in the queue, only corrected when they come up.
      if (now >= min_pair_count) queue_.push({now, top.pair});
    }
    return {};
  }

  /// Replaces the pair by `result` in all words.
  void merge(Pair pair, std::uint32_t result) {
    const std::vector<std::uint32_t> where = std::move(pairs_[pair].words);
    for (const std::uint32_t w : where) merge_in_word(w, pair, result);
    pairs_.erase(pair);
    push_grown();
  }

 private:
  void merge_in_word(std::uint32_t w, Pair pair, std::uint32_t result) {
    std::vector<std::uint32_t>& t = words_[w].tokens;
    std::size_t kept = 0;  // t[0, kept) is done; it never passes the reading position i
    for (std::size_t i = 0; i < t.size(); ++i) {
      const bool hit = i + 1 < t.size() && pair_of(t[i], t[i + 1]) == pair;
      if (!hit) {
        t[kept++] = t[i];
        continue;
      }
      if (kept > 0) {
        change(w, t[kept - 1], t[i], -1);
        change(w, t[kept - 1], result, +1);
      }
      ++i;
      if (i + 1 < t.size()) {
        change(w, t[i], t[i + 1], -1);
        change(w, result, t[i + 1], +1);
      }
      t[kept++] = result;
    }
    t.resize(kept);
  }

  /// One occurrence more or less of a pair in a word.
  void change(std::uint32_t w, std::uint32_t left, std::uint32_t right, std::int64_t sign) {
    const Pair pair = pair_of(left, right);
    PairUse& use = pairs_[pair];
    use.count += sign * words_[w].count;
    if (sign < 0) return;
    if (use.words.empty() || use.words.back() != w) use.words.push_back(w);
    if (grown_.empty() || grown_.back() != pair) grown_.push_back(pair);
  }

  void push_grown() {
    std::sort(grown_.begin(), grown_.end());
    grown_.erase(std::unique(grown_.begin(), grown_.end()), grown_.end());
    for (const Pair pair : grown_) {
      const std::int64_t count = pairs_[pair].count;
      if (count >= min_pair_count) queue_.push({count, pair});
    }
    grown_.clear();
  }

  std::vector<Word> words_;
  std::unordered_map<Pair, PairUse> pairs_;
  std::priority_queue<Candidate> queue_;
  std::vector<Pair> grown_;  // pairs that may have become more frequent since the last push
};

/// The ids of single bytes.
std::array<std::uint32_t, 256> byte_ids() {
  std::array<std::uint32_t, 256> ids{};
  for (std::uint32_t id = 0; id < 256; ++id) ids[alphabet_order()[id]] = id;
  return ids;
}

}  // namespace

void BpeTrainer::add(std::string_view text) {
  Pieces pieces(text);
  for (std::string_view piece = pieces.next(); !piece.empty(); piece = pieces.next()) {
    const auto found = word_counts_.find(piece);
    if (found != word_counts_.end()) {
      ++found->second;
    } else {
      word_counts_.emplace(piece, 1);
    }
  }
}

BpeVocabulary BpeTrainer::train(std::size_t num_tokens) const {
  const std::array<std::uint32_t, 256> ids = byte_ids();
  std::vector<Word> words;
  for (const auto& [text, count] : word_counts_) {
    if (text.size() < 2) continue;
    Word& word = words.emplace_back(Word{{}, count});
    for (const char byte : text) word.tokens.push_back(ids[static_cast<std::uint8_t>(byte)]);
  }
  narrow<std::uint32_t>(words.size());  // words are numbered by 32 bits below

  BpeVocabulary vocabulary;
  std::unordered_map<std::string, std::uint32_t> id_of;
  for (const std::uint8_t byte : alphabet_order()) {
    id_of.emplace(std::string(1, static_cast<char>(byte)), vocabulary.tokens.size());
    vocabulary.tokens.emplace_back(1, static_cast<char>(byte));
  }
  Training training(std::move(words));
  while (vocabulary.tokens.size() < num_tokens) {
    const Candidate best = training.pop();
    if (best.count < min_pair_count) break;
    const auto left = static_cast<std::uint32_t>(best.pair >> 32);
    const auto right = static_cast<std::uint32_t>(best.pair);
    const std::string bytes = vocabulary.tokens[left] + vocabulary.tokens[right];
    // Two pairs can make the same bytes, "a"+"bc" and "ab"+"c": they share the token.
    const auto [token, is_new] = id_of.emplace(bytes, vocabulary.tokens.size());
    if (is_new) vocabulary.tokens.push_back(bytes);
    vocabulary.merges.push_back({left, right, token->second});
    training.merge(best.pair, token->second);
  }
  return vocabulary;
}

}  // namespace motley
