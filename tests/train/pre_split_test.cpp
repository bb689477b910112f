#include "train/pre_split.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tensor/random.h"
#include "tensor/utf8.h"
#include "train/text_source.h"

namespace motley {
namespace {

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> result;
  Pieces pieces(text);
  for (std::string_view piece = pieces.next(); !piece.empty(); piece = pieces.next()) {
    result.emplace_back(piece);
  }
  EXPECT_TRUE(pieces.next().empty());
  return result;
}

using Strings = std::vector<std::string>;

struct Row {
  std::string text;
  Strings pieces;
};

// What GPT-2's pattern gives, worked out with Python's `regex` and checked against `tokenizers`.
TEST(PreSplit, CutsLikeGpt2) {
  const std::vector<Row> rows{
      {"", {}},
      {"Hello world", {"Hello", " world"}},
      {"we're I'll don't I'd he's we've I'm",
       {"we", "'re", " I", "'ll", " don", "'t", " I", "'d", " he", "'s", " we", "'ve", " I", "'m"}},
      {"I'LL 'tis 'sx", {"I", "'", "LL", " '", "tis", " '", "sx"}},
      {"'sx", {"'s", "x"}},
      {"abc123 456def", {"abc", "123", " 456", "def"}},
      {"a  b", {"a", " ", " b"}},
      {"a   b", {"a", "  ", " b"}},
      {"a \n b", {"a", " \n", " b"}},
      {"a\nb", {"a", "\n", "b"}},
      {"a\n\nb", {"a", "\n", "\n", "b"}},
      {"a\t\tb", {"a", "\t", "\t", "b"}},
      {"end  ", {"end", "  "}},
      {"end\n", {"end", "\n"}},
      {"  ", {"  "}},
      {"  start", {" ", " start"}},
      {"x = (y+1);", {"x", " =", " (", "y", "+", "1", ");"}},
      {"naïve Straße 日本語 你 好", {"naïve", " Straße", " 日本語", " 你", " 好"}},
      {"½ ² ४५ Ⅷ", {"½", " ²", " ४५", " Ⅷ"}},
      {"😀😀 !", {"😀😀", " !"}},
      {"a\u00a0b\u3000\u2003c", {"a", "\u00a0", "b", "\u3000", "\u2003", "c"}},
      {"a\u0085b", {"a", "\u0085", "b"}},
      {"a\u200bb\u180ec", {"a", "\u200b", "b", "\u180e", "c"}},
      {"a\u180e b", {"a", "\u180e", " b"}},
      {"e\u0301t", {"e", "\u0301", "t"}},
      {std::string("a\0b", 3), {"a", std::string(1, '\0'), "b"}},
      {"\r\n\r\nx", {"\r\n\r", "\n", "x"}},
  };
  for (const Row& row : rows) EXPECT_EQ(split(row.text), row.pieces) << row.text;
}

TEST(PreSplit, MakesPiecesOfBytesThatAreNoUtf8) {
  const std::vector<Row> rows{
      {"\xff", {"\xff"}},
      {"a\xff\xfe"
       "b",
       {"a", "\xff\xfe", "b"}},
      {"caf\xe9 au", {"caf", "\xe9", " au"}},
      {"a \xff b", {"a", " ", "\xff", " b"}},
      {"\xc3", {"\xc3"}},
      {"\xe6\x97", {"\xe6\x97"}},
      {"x\xe6\x97y", {"x", "\xe6\x97", "y"}},
      {"\xed\xa0\x80"
       "a",
       {"\xed\xa0\x80", "a"}},                     // a surrogate
      {"\xc0\xaf/", {"\xc0\xaf", "/"}},            // an overlong form
      {"\xf4\x90\x80\x80", {"\xf4\x90\x80\x80"}},  // above U+10FFFF
      {"\x80\xbf语\x80", {"\x80\xbf", "语", "\x80"}},
  };
  for (const Row& row : rows) EXPECT_EQ(split(row.text), row.pieces) << row.text;
}

/// Random bytes from a few that meet often at the pattern's branches.
std::string random_text(const Random& random, std::uint64_t round, std::size_t length) {
  static const std::vector<std::string> atoms{"a",    "s",      "ll", " ",  " ",    "\n",
                                              "'",    "1",      "é",  "语", "!",    "\xff",
                                              "\xe6", "\u00a0", "\t", "😀",  "\x80", "Z"};
  std::string text;
  for (std::size_t i = 0; i < length; ++i)
    text += atoms[random.word(1000 * round + i) % atoms.size()];
  return text;
}

TEST(PreSplit, LosesNothing) {
  const Random random(3, Purpose::test);
  for (std::uint64_t round = 0; round < 500; ++round) {
    const std::string text = random_text(random, round, 1 + round % 60);
    std::string joined;
    for (const std::string& piece : split(text)) joined += piece;
    ASSERT_EQ(joined, text);
  }
}

// What data preparation relies on when it tokenizes a long text part by part.
TEST(PreSplit, GivesTheSamePiecesWhenCutAtASafePlace) {
  const Random random(4, Purpose::test);
  std::size_t num_cuts = 0;
  for (std::uint64_t round = 0; round < 2000; ++round) {
    const std::string text = random_text(random, round, 20);
    const std::size_t cut = last_cut(text);
    if (cut == 0) continue;
    ++num_cuts;
    Strings parts = split(std::string_view(text).substr(0, cut));
    for (const std::string& piece : split(std::string_view(text).substr(cut)))
      parts.push_back(piece);
    ASSERT_EQ(parts, split(text)) << text;
  }
  EXPECT_GT(num_cuts, 100u);
}

TEST(PreSplit, TakesLongRunsOfAnything) {
  for (const char* unit : {" ", "a", "7", "!", "\n", "\xff", "语"}) {
    std::string run;
    for (int i = 0; i < 300000; ++i) run += unit;
    EXPECT_EQ(split(run), Strings{run});
    EXPECT_LE(split(run + "x").size(), 3u);
  }
}

TEST(Utf8, TellsCutCharactersFromWrongOnes) {
  struct {
    const char* text;
    std::size_t length;
    Utf8State state;
  } const rows[] = {
      {"a", 1, Utf8State::valid},
      {"é", 2, Utf8State::valid},
      {"语", 3, Utf8State::valid},
      {"😀", 4, Utf8State::valid},
      {"\xc3", 1, Utf8State::incomplete},
      {"\xf0\x9f\x98", 3, Utf8State::incomplete},
      {"\x80", 1, Utf8State::invalid},
      {"\xc1\x80", 1, Utf8State::invalid},
      {"\xe0\x80", 1, Utf8State::invalid},
      {"\xe6\x97"
       "a",
       2, Utf8State::invalid},
      {"\xf5", 1, Utf8State::invalid},
      {"\xf0\x80", 1, Utf8State::invalid},
      {"\xed\xa0", 1, Utf8State::invalid},
      {"\xf4\x90", 1, Utf8State::invalid},
  };
  for (const auto& row : rows) {
    const Utf8Character character = utf8_character(row.text, 0);
    EXPECT_EQ(character.length, row.length) << row.text;
    EXPECT_EQ(character.state, row.state) << row.text;
  }
}

}  // namespace
}  // namespace motley
