#include "train/bpe_trainer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "tensor/random.h"
#include "train/byte_alphabet.h"
#include "train/pre_split.h"

namespace motley {
namespace {

BpeVocabulary train(std::string_view text, std::size_t num_tokens) {
  BpeTrainer trainer;
  trainer.add(text);
  return trainer.train(num_tokens);
}

/// The bytes of each merge's result, in order.
std::vector<std::string> merged(const BpeVocabulary& vocabulary) {
  std::vector<std::string> texts;
  for (const Merge& merge : vocabulary.merges) texts.push_back(vocabulary.tokens[merge.result]);
  return texts;
}

/// The definition: count all neighbours of all words anew before each merge.
std::vector<Merge> naive(std::string_view text, std::size_t num_merges) {
  std::vector<std::vector<std::uint32_t>> words;
  std::map<char, std::uint32_t> ids;
  for (std::uint32_t id = 0; id < 256; ++id) ids[static_cast<char>(alphabet_order()[id])] = id;
  std::vector<std::string> tokens;
  for (const std::uint8_t byte : alphabet_order()) tokens.emplace_back(1, static_cast<char>(byte));
  Pieces pieces(text);
  for (std::string_view piece = pieces.next(); !piece.empty(); piece = pieces.next()) {
    auto& word = words.emplace_back();
    for (const char byte : piece) word.push_back(ids[byte]);
  }
  std::vector<Merge> merges;
  while (merges.size() < num_merges) {
    std::map<std::pair<std::uint32_t, std::uint32_t>, int> counts;
    for (const auto& word : words) {
      for (std::size_t i = 0; i + 1 < word.size(); ++i) ++counts[{word[i], word[i + 1]}];
    }
    auto best = counts.end();
    for (auto pair = counts.begin(); pair != counts.end(); ++pair) {
      if (pair->second >= 2 && (best == counts.end() || pair->second > best->second)) best = pair;
    }
    if (best == counts.end()) break;
    const auto [left, right] = best->first;
    const std::string bytes = tokens[left] + tokens[right];
    const auto known = std::find(tokens.begin(), tokens.end(), bytes);
    const auto result = static_cast<std::uint32_t>(known - tokens.begin());
    if (known == tokens.end()) tokens.push_back(bytes);
    merges.push_back({left, right, result});
    for (auto& word : words) {
      for (std::size_t i = 0; i + 1 < word.size(); ++i) {
        if (word[i] != left || word[i + 1] != right) continue;
        word[i] = result;
        word.erase(word.begin() + static_cast<std::ptrdiff_t>(i) + 1);
      }
    }
  }
  return merges;
}

TEST(BpeTrainer, MergesTheMostFrequentPairFirst) {
  // " low" occurs three times, " new" twice; of equals the pair with the lower ids comes first, and
  // in GPT-2's order the space has a higher id than the letters.
  const BpeVocabulary vocabulary = train(" low low low new new", 1000);
  EXPECT_EQ(merged(vocabulary),
            (std::vector<std::string>{"lo", " lo", " low", "ew", "new", " new"}));
  EXPECT_EQ(vocabulary.tokens.size(), 262u);
  EXPECT_EQ(vocabulary.tokens[256], "lo");
}

TEST(BpeTrainer, EqualsTheDefinitionOnRandomTexts) {
  for (std::uint64_t round = 0; round < 60; ++round) {
    const Random random(round, Purpose::test, 2);
    std::string text;
    const std::uint32_t letters = 1 + random.word(9999) % 4;
    for (std::uint64_t i = 0; i < 400; ++i) {
      const std::uint32_t pick = random.word(i) % 8;
      text += pick == 0 ? ' ' : static_cast<char>('a' + random.word(1000 + i) % letters);
    }
    const BpeVocabulary vocabulary = train(text, 100000);
    ASSERT_EQ(vocabulary.merges, naive(text, 100000)) << "round " << round << ": " << text;
  }
}

TEST(BpeTrainer, SharesTheTokenOfEqualBytes) {
  // "abc" comes from a+bc in one word and ab+c in another; a token stands once.
  const BpeVocabulary vocabulary = train("abab abab abcabc abcabc bcbcbc bcbcbc xabc xabc", 100000);
  std::map<std::string, int> seen;
  for (const std::string& token : vocabulary.tokens) EXPECT_EQ(++seen[token], 1) << token;
  for (const Merge& merge : vocabulary.merges) {
    EXPECT_EQ(vocabulary.tokens[merge.left] + vocabulary.tokens[merge.right],
              vocabulary.tokens[merge.result]);
  }
}

TEST(BpeTrainer, DependsOnWordCountsAlone) {
  const std::string text = "the cat sat on the mat and the cat ate the rat that sat on the hat ";
  BpeTrainer parts;
  parts.add(" sat on the hat ");  // the end before the start
  parts.add("the cat sat on the mat and");
  parts.add(" the cat ate the rat that");
  const BpeVocabulary whole = train(text, 300);
  EXPECT_EQ(parts.train(300).tokens, whole.tokens);
  EXPECT_EQ(parts.train(300).merges, whole.merges);
}

TEST(BpeTrainer, StopsAtTheAskedForSize) {
  std::string text;
  for (int i = 0; i < 300; ++i) text += " word" + std::to_string(i * i) + " words";
  EXPECT_EQ(train(text, 256).tokens.size(), 256u);
  EXPECT_EQ(train(text, 257).tokens.size(), 257u);
  EXPECT_EQ(train(text, 300).tokens.size(), 300u);
}

TEST(BpeTrainer, TakesTextsWithoutWords) {
  for (const char* text : {"", "a", "\xff", "a b c"}) {
    EXPECT_EQ(train(text, 1000).tokens.size(), 256u) << text;
  }
}

}  // namespace
}  // namespace motley
