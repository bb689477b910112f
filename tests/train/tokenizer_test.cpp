#include "train/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "tensor/error.h"
#include "tensor/hash.h"
#include "tensor/random.h"
#include "tests/scratch_directory.h"
#include "train/pre_split.h"

namespace motley {
namespace {

using Tokens = std::vector<std::uint32_t>;

constexpr std::string_view sample_text =
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age "
    "of "
    "foolishness, it was the epoch of belief, it was the epoch of incredulity, it was the season "
    "of Light, "
    "it was the season of Darkness. Das süße Mädchen aß süße Äpfel. "
    "日本語の日本語。日本語の日本。\n\n";

Tokenizer trained(std::size_t vocab_size = 330) {
  return Tokenizer::train(std::span(&sample_text, 1), vocab_size);
}

std::string random_bytes(std::uint64_t seed, std::size_t length) {
  const Random random(seed, Purpose::test);
  std::string bytes(length, '\0');
  for (std::size_t i = 0; i < length; ++i) bytes[i] = static_cast<char>(random.word(i) & 0xFFu);
  return bytes;
}

void expect_round_trip(const Tokenizer& tokenizer, const std::string& text) {
  const Tokens ids = tokenizer.encode(text);
  for (const std::uint32_t id : ids) ASSERT_LT(id, tokenizer.vocab_size());
  ASSERT_EQ(tokenizer.decode(ids), text);
}

TEST(Tokenizer, RoundTripsAnyBytes) {
  const Tokenizer tokenizer = trained();
  expect_round_trip(tokenizer, "");
  std::string all;
  for (int byte = 0; byte < 256; ++byte) {
    expect_round_trip(tokenizer, std::string(1, static_cast<char>(byte)));
    all += static_cast<char>(byte);
  }
  expect_round_trip(tokenizer, all);
  expect_round_trip(tokenizer, std::string(sample_text));
  for (std::uint64_t seed = 0; seed < 50; ++seed)
    expect_round_trip(tokenizer, random_bytes(seed, 10 * seed));
  // Valid UTF-8 cut at every byte.
  for (std::size_t cut = 0; cut <= sample_text.size(); ++cut) {
    expect_round_trip(tokenizer, std::string(sample_text.substr(cut)));
  }
}

TEST(Tokenizer, CompressesWhatItLearned) {
  const Tokenizer tokenizer = trained();
  EXPECT_LT(tokenizer.encode(sample_text).size(), sample_text.size() / 2);
  EXPECT_EQ(tokenizer.encode(" was").size(), 1u);
}

TEST(Tokenizer, TrainsTheSameFromTheSameText) {
  EXPECT_EQ(trained().content_hash(), trained().content_hash());
  EXPECT_NE(trained(300).content_hash(), trained(301).content_hash());
}

TEST(Tokenizer, TrainsOnFilesAsOnTheirText) {
  const ScratchDirectory scratch;
  std::string text;
  for (int i = 0; i < 8000; ++i) text += sample_text;  // more than is read at a time
  const std::vector<io::Path> paths{scratch.write("a", text), scratch.write("b", "it was it was"),
                                    scratch.write("empty", "")};
  const std::vector<std::string_view> texts{text, "it was it was"};
  EXPECT_EQ(Tokenizer::train_on_files(paths, 320).content_hash(),
            Tokenizer::train(texts, 320).content_hash());
}

TEST(Tokenizer, RefusesVocabulariesOutOfRange) {
  EXPECT_THROW(trained(256), ConfigError);
  EXPECT_THROW(trained(1'000'001), ConfigError);
  const Tokenizer smallest = trained(257);
  EXPECT_EQ(smallest.vocab_size(), 257u);
  EXPECT_EQ(smallest.num_merges(), 0u);
  EXPECT_EQ(smallest.end_of_text(), 256u);
}

TEST(Tokenizer, SavesAndLoadsByteForByte) {
  const ScratchDirectory scratch;
  const Tokenizer tokenizer = trained();
  const io::Path path = scratch / "tokenizer.json";
  tokenizer.save(path);
  const Tokenizer loaded = Tokenizer::load(path);
  EXPECT_EQ(loaded.content_hash(), tokenizer.content_hash());
  EXPECT_EQ(loaded.content_hash(), hash_of_file(path));
  EXPECT_EQ(loaded.encode(sample_text), tokenizer.encode(sample_text));
  EXPECT_EQ(loaded.end_of_text(), loaded.vocab_size() - 1);
  loaded.save(scratch / "copy.json");
  EXPECT_EQ(io::read_text(scratch / "copy.json"), io::read_text(path));
}

TEST(Tokenizer, NamesADamagedFileAndLeavesItAlone) {
  const ScratchDirectory scratch;
  const io::Path path = scratch / "tokenizer.json";
  trained().save(path);
  const std::string good = io::read_text(path);
  for (const std::string& bad : {std::string(), good.substr(0, good.size() / 2), good + "x",
                                 random_bytes(1, 1000), std::string("{}")}) {
    scratch.write("tokenizer.json", bad);
    const auto before = scratch.contents();
    try {
      Tokenizer::load(path);
      ADD_FAILURE() << "was accepted";
    } catch (const DataError& error) {
      EXPECT_NE(std::string(error.what()).find(path.string()), std::string::npos) << error.what();
    }
    EXPECT_EQ(scratch.contents(), before);
  }
  EXPECT_THROW(Tokenizer::load(scratch / "absent.json"), IoError);
}

// Encoding takes known words from a table; that must not change a token.
TEST(Tokenizer, EncodesAsMergingEveryPieceDoes) {
  const Tokenizer tokenizer = trained();
  const TokenizerContent content = [&] {
    const ScratchDirectory scratch;
    tokenizer.save(scratch / "t.json");
    return parse_tokenizer_file(io::read_text(scratch / "t.json"), "t.json");
  }();
  const BpeMerges merges(content.vocabulary.merges);
  const auto encode = [&](std::string_view text) {
    Tokens ids;
    Pieces pieces(text);
    for (std::string_view piece = pieces.next(); !piece.empty(); piece = pieces.next()) {
      const std::size_t first = ids.size();
      for (const char byte : piece) ids.push_back(tokenizer.encode(std::string(1, byte)).at(0));
      merges.apply(ids, first);
    }
    return ids;
  };
  EXPECT_EQ(tokenizer.encode(sample_text), encode(sample_text));
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const Random random(seed, Purpose::test, 3);
    std::string text;
    for (std::uint64_t i = 0; i < 40; ++i) {
      const std::size_t at = random.word(2 * i) % sample_text.size();
      text += sample_text.substr(at, random.word(2 * i + 1) % 12);
    }
    ASSERT_EQ(tokenizer.encode(text), encode(text)) << text;
  }
}

TEST(Tokenizer, NeverMakesASpecialTokenOfText) {
  const Tokenizer tokenizer = Tokenizer::train(
      std::vector<std::string_view>{"<|endoftext|> <|endoftext|> <|endoftext|>"}, 400);
  const Tokens ids = tokenizer.encode("<|endoftext|>");
  EXPECT_EQ(std::count(ids.begin(), ids.end(), tokenizer.end_of_text().value()), 0);
  EXPECT_EQ(tokenizer.decode(ids), "<|endoftext|>");
  EXPECT_EQ(tokenizer.decode(Tokens{*tokenizer.end_of_text()}), "<|endoftext|>");
}

TEST(Tokenizer, RefusesTokensOutOfRange) {
  const Tokenizer tokenizer = trained();
  const auto beyond = static_cast<std::uint32_t>(tokenizer.vocab_size());
  EXPECT_THROW(tokenizer.decode(Tokens{0, beyond}), DataError);
  EXPECT_THROW(tokenizer.token(0xFFFFFFFFu), DataError);
}

TEST(Tokenizer, IsSharedByThreads) {
  const Tokenizer tokenizer = trained();
  const Tokens expected = tokenizer.encode(sample_text);
  std::vector<std::thread> threads;
  std::vector<Tokens> results(4);
  for (Tokens& result : results) {
    threads.emplace_back([tokenizer, &result] {
      for (int i = 0; i < 20; ++i) result = tokenizer.encode(sample_text);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Tokens& result : results) EXPECT_EQ(result, expected);
}

TEST(StreamDecoder, EmitsWholeCharactersOnly) {
  const Tokenizer bytes = trained(257);
  StreamDecoder decoder(bytes);
  std::vector<std::string> parts;
  for (const std::uint32_t id : bytes.encode("aé语😀")) parts.push_back(decoder.push(id));
  EXPECT_EQ(parts, (std::vector<std::string>{"a", "", "é", "", "", "语", "", "", "", "😀"}));
  EXPECT_EQ(decoder.finish(), "");
}

TEST(StreamDecoder, ReplacesWhatIsNoText) {
  const Tokenizer bytes = trained(257);
  const auto decode = [&](std::string_view text) {
    StreamDecoder decoder(bytes);
    std::string out;
    for (const std::uint32_t id : bytes.encode(text)) out += decoder.push(id);
    return out + decoder.finish();
  };
  EXPECT_EQ(decode("a\xff"
                   "b"),
            "a\uFFFDb");
  EXPECT_EQ(decode("a\xe6\x97"), "a\uFFFD");
  EXPECT_EQ(decode("\xe6\x97"
                   "a"),
            "\uFFFDa");
  EXPECT_EQ(decode("\xf0\x9f\x98\xf0\x9f\x98\x80"), "\uFFFD😀");
  EXPECT_EQ(decode("\x80\x80"), "\uFFFD\uFFFD");
  EXPECT_EQ(decode(sample_text), sample_text);
}

TEST(StreamDecoder, EqualsDecodingAtOnceForLearnedTokens) {
  const Tokenizer tokenizer = trained();
  StreamDecoder decoder(tokenizer);
  std::string out;
  for (const std::uint32_t id : tokenizer.encode(sample_text)) out += decoder.push(id);
  EXPECT_EQ(out + decoder.finish(), sample_text);
  EXPECT_THROW(decoder.push(100000), DataError);
}

}  // namespace
}  // namespace motley
