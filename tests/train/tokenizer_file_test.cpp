#include "train/tokenizer_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "tensor/error.h"
#include "tensor/random.h"
#include "train/byte_alphabet.h"

namespace motley {
namespace {

using Json = nlohmann::json;

/// A file as GPT-2's own: the bytes, "he", "ll", "hell", <|endoftext|>.
Json small_file() {
  Json vocab = Json::object();
  for (std::uint32_t id = 0; id < 256; ++id) {
    vocab[to_alphabet(std::string(1, static_cast<char>(alphabet_order()[id])))] = id;
  }
  vocab["he"] = 256;
  vocab["ll"] = 257;
  vocab["hell"] = 258;
  vocab["<|endoftext|>"] = 259;
  return {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens",
       {{{"id", 259},
         {"special", true},
         {"content", "<|endoftext|>"},
         {"single_word", false},
         {"lstrip", false},
         {"rstrip", false},
         {"normalized", true}}}},
      {"normalizer", nullptr},
      {"pre_tokenizer",
       {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}}},
      {"post_processor",
       {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", false}}},
      {"decoder", {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}}},
      {"model",
       {{"dropout", nullptr},
        {"unk_token", nullptr},
        {"continuing_subword_prefix", ""},
        {"end_of_word_suffix", ""},
        {"fuse_unk", false},
        {"vocab", vocab},
        {"merges", {"h e", "l l", "he ll"}}}},
  };
}

TokenizerContent parse(const Json& file) {
  return parse_tokenizer_file(file.dump(), "tokenizer.json");
}

TEST(TokenizerFile, ReadsGpt2sOwnForm) {
  const TokenizerContent content = parse(small_file());
  EXPECT_EQ(content.vocabulary.tokens.size(), 260u);
  EXPECT_EQ(content.vocabulary.tokens[220], " ");
  EXPECT_EQ(content.vocabulary.tokens[258], "hell");
  EXPECT_EQ(content.vocabulary.tokens[259], "<|endoftext|>");
  const auto h = static_cast<std::uint32_t>('h' - '!');
  const std::vector<Merge> merges{{h, h - 3, 256}, {h + 4, h + 4, 257}, {256, 257, 258}};
  EXPECT_EQ(content.vocabulary.merges, merges);
  EXPECT_EQ(content.end_of_text, 259u);
}

TEST(TokenizerFile, ReadsMergesInBothForms) {
  Json file = small_file();
  const TokenizerContent strings = parse(file);
  file["model"]["merges"] = Json::parse(R"([["h", "e"], ["l", "l"], ["he", "ll"]])");
  EXPECT_EQ(parse(file).vocabulary.merges, strings.vocabulary.merges);
  file["model"]["merges"] = Json::parse(R"(["h e", ["l", "l"], "he ll"])");
  EXPECT_EQ(parse(file).vocabulary.merges, strings.vocabulary.merges);
}

TEST(TokenizerFile, TakesWhatDoesNotChangeTokens) {
  Json file = small_file();
  file["model"]["type"] = "BPE";
  file["model"]["byte_fallback"] = false;
  file["model"]["ignore_merges"] = false;
  file["model"]["dropout"] = 0.0;
  file["pre_tokenizer"]["use_regex"] = true;
  file["post_processor"] = nullptr;
  file["model"].erase("continuing_subword_prefix");
  file.erase("normalizer");
  EXPECT_EQ(parse(file).vocabulary.tokens.size(), 260u);
  file["model"]["vocab"].erase("<|endoftext|>");  // listed as an added token only
  EXPECT_EQ(parse(file).end_of_text, 259u);
  file["model"]["vocab"]["<|endoftext|>"] = 259;
  file["added_tokens"] =
      Json::array();  // then it is a token like any other, and nothing marks an end
  EXPECT_FALSE(parse(file).end_of_text.has_value());
}

TEST(TokenizerFile, WritesWhatItReads) {
  const TokenizerContent content = parse(small_file());
  const std::string text = format_tokenizer_file(content);
  const TokenizerContent again = parse_tokenizer_file(text, "again");
  EXPECT_EQ(again.vocabulary.tokens, content.vocabulary.tokens);
  EXPECT_EQ(again.vocabulary.merges, content.vocabulary.merges);
  EXPECT_EQ(again.specials, content.specials);
  EXPECT_EQ(format_tokenizer_file(again), text);
  const Json file = Json::parse(text);
  EXPECT_EQ(file["model"]["type"], "BPE");
  EXPECT_EQ(file["model"]["merges"][2], "he ll");
  EXPECT_EQ(file["pre_tokenizer"]["add_prefix_space"], false);
  EXPECT_EQ(file["pre_tokenizer"]["use_regex"], true);
  EXPECT_EQ(file["decoder"]["type"], "ByteLevel");
  EXPECT_EQ(file["added_tokens"][0]["content"], "<|endoftext|>");
}

struct BadFile {
  const char* what;
  std::function<void(Json&)> damage;
  const char* reason;
};

TEST(TokenizerFile, RefusesWhatItDoesNotSupport) {
  const std::vector<BadFile> rows{
      {"another model", [](Json& f) { f["model"]["type"] = "WordPiece"; },
       "model.type is \"WordPiece\""},
      {"no model", [](Json& f) { f.erase("model"); }, "\"model\""},
      {"a list", [](Json& f) { f = Json::array(); }, "an object"},
      {"normalizer",
       [](Json& f) {
         f["normalizer"] = {{"type", "NFC"}};
       },
       "normalizer"},
      {"truncation",
       [](Json& f) {
         f["truncation"] = {{"max_length", 5}};
       },
       "truncation"},
      {"padding",
       [](Json& f) {
         f["padding"] = {{"pad_id", 0}};
       },
       "padding"},
      {"no pre-tokenizer", [](Json& f) { f["pre_tokenizer"] = nullptr; }, "pre_tokenizer"},
      {"other pre-tokenizer", [](Json& f) { f["pre_tokenizer"]["type"] = "Whitespace"; },
       "Whitespace"},
      {"prefix space", [](Json& f) { f["pre_tokenizer"]["add_prefix_space"] = true; },
       "add_prefix_space"},
      {"no regex", [](Json& f) { f["pre_tokenizer"]["use_regex"] = false; }, "use_regex"},
      {"other decoder", [](Json& f) { f["decoder"]["type"] = "WordPiece"; }, "decoder.type"},
      {"template", [](Json& f) { f["post_processor"]["type"] = "TemplateProcessing"; }, "Template"},
      {"dropout", [](Json& f) { f["model"]["dropout"] = 0.1; }, "dropout"},
      {"prefix", [](Json& f) { f["model"]["continuing_subword_prefix"] = "##"; }, "prefix"},
      {"suffix", [](Json& f) { f["model"]["end_of_word_suffix"] = "</w>"; }, "suffix"},
      {"ignored merges", [](Json& f) { f["model"]["ignore_merges"] = true; }, "ignore_merges"},
      {"added text", [](Json& f) { f["added_tokens"][0]["special"] = false; }, "not special"},
  };
  for (const BadFile& row : rows) {
    Json file = small_file();
    row.damage(file);
    try {
      parse(file);
      ADD_FAILURE() << row.what << " was accepted";
    } catch (const DataError& error) {
      const std::string message = error.what();
      EXPECT_EQ(message.rfind("tokenizer.json: ", 0), 0u) << message;
      EXPECT_NE(message.find(row.reason), std::string::npos) << row.what << ": " << message;
    }
  }
}

TEST(TokenizerFile, RefusesInconsistentFiles) {
  const std::vector<BadFile> rows{
      {"hole", [](Json& f) { f["model"]["vocab"]["hell"] = 260; }, "has id 260"},
      {"id twice", [](Json& f) { f["model"]["vocab"]["he"] = 257; }, "another token"},
      {"negative id", [](Json& f) { f["model"]["vocab"]["he"] = -1; }, "is -1"},
      {"fractional id", [](Json& f) { f["model"]["vocab"]["he"] = 256.0; }, "an integer"},
      {"huge id", [](Json& f) { f["model"]["vocab"]["he"] = 1e18; }, "an integer"},
      {"string id", [](Json& f) { f["model"]["vocab"]["he"] = "256"; }, "an integer"},
      {"vocab a list",
       [](Json& f) {
         f["model"]["vocab"] = {"a", "b"};
       },
       "an object"},
      {"empty vocab",
       [](Json& f) {
         f["model"]["vocab"] = Json::object();
         f["added_tokens"][0]["id"] = 0;
       },
       "0 of the 256"},
      {"a byte missing",
       [](Json& f) {
         f["model"]["vocab"].erase("!");
         f["model"]["vocab"]["zz"] = 0;
       },
       "255 of the 256"},
      {"not in the alphabet",
       [](Json& f) {
         f["model"]["vocab"].erase("he");
         f["model"]["vocab"]["日"] = 256;
       },
       "byte alphabet"},
      {"empty token",
       [](Json& f) {
         f["model"]["vocab"].erase("he");
         f["model"]["vocab"][""] = 256;
       },
       "without a name"},
      {"added elsewhere", [](Json& f) { f["added_tokens"][0]["id"] = 5; }, "elsewhere"},
      {"added beyond",
       [](Json& f) {
         f["added_tokens"].push_back({{"id", 300}, {"content", "<x>"}, {"special", true}});
       },
       "without holes"},
      {"added over another",
       [](Json& f) {
         f["added_tokens"].push_back({{"id", 3}, {"content", "<x>"}, {"special", true}});
       },
       "another token"},
      {"added twice", [](Json& f) { f["added_tokens"].push_back(f["added_tokens"][0]); }, "twice"},
      {"added empty", [](Json& f) { f["added_tokens"][0]["content"] = ""; }, "is empty"},
      {"added a number", [](Json& f) { f["added_tokens"] = 3; }, "an array"},
      {"unknown left", [](Json& f) { f["model"]["merges"][2] = "hx ll"; }, "\"hx\""},
      {"unknown right", [](Json& f) { f["model"]["merges"][2] = "he lx"; }, "\"lx\""},
      {"unknown result", [](Json& f) { f["model"]["merges"][2] = "l he"; }, "\"lhe\""},
      {"merge twice", [](Json& f) { f["model"]["merges"][1] = "h e"; }, "repeats merge 0"},
      {"no space", [](Json& f) { f["model"]["merges"][1] = "ll"; }, "one space"},
      {"two spaces", [](Json& f) { f["model"]["merges"][1] = "l  l"; }, "one space"},
      {"three parts",
       [](Json& f) {
         f["model"]["merges"][1] = {"l", "l", "l"};
       },
       "no pair"},
      {"part a number",
       [](Json& f) {
         f["model"]["merges"][1] = {"l", 3};
       },
       "a string"},
      {"merge a number", [](Json& f) { f["model"]["merges"][1] = 7; }, "a string"},
      {"no merges", [](Json& f) { f["model"].erase("merges"); }, "\"merges\""},
      {"merge to a special",
       [](Json& f) {
         f["added_tokens"].push_back({{"id", 256}, {"content", "he"}, {"special", true}});
       },
       "special"},
  };
  for (const BadFile& row : rows) {
    Json file = small_file();
    row.damage(file);
    try {
      parse(file);
      ADD_FAILURE() << row.what << " was accepted";
    } catch (const DataError& error) {
      const std::string message = error.what();
      EXPECT_EQ(message.rfind("tokenizer.json: ", 0), 0u) << message;
      EXPECT_NE(message.find(row.reason), std::string::npos) << row.what << ": " << message;
    }
  }
}

TEST(TokenizerFile, RefusesTwoTokensOfOneName) {
  std::string text = small_file().dump();
  const std::size_t at = text.find("\"he\":256");
  ASSERT_NE(at, std::string::npos);
  text.insert(at, "\"he\":256,");
  EXPECT_THROW(parse_tokenizer_file(text, "x"), DataError);
}

TEST(TokenizerFile, RefusesAFileCutAnywhere) {
  const std::string text = format_tokenizer_file(parse(small_file()));
  const std::size_t end = text.find_last_of('}');
  for (std::size_t length = 0; length <= end; length += 1 + length % 7) {
    EXPECT_THROW(parse_tokenizer_file(text.substr(0, length), "x"), DataError) << length;
  }
  EXPECT_THROW(parse_tokenizer_file(text.substr(0, end), "x"), DataError);
  EXPECT_NO_THROW(parse_tokenizer_file(text, "x"));
}

// A flipped bit may make another valid file, say with one token spelled differently. Then all that
// was promised of a vocabulary must still hold.
TEST(TokenizerFile, SurvivesFlippedBits) {
  const std::string text = format_tokenizer_file(parse(small_file()));
  const Random random(21, Purpose::test);
  for (std::uint64_t round = 0; round < 1500; ++round) {
    std::string flipped = text;
    const std::size_t at = random.word(2 * round) % text.size();
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << (random.word(2 * round + 1) % 8)));
    try {
      const TokenizerContent content = parse_tokenizer_file(flipped, "x");
      EXPECT_EQ(content.vocabulary.tokens.size(), 260u);
      for (const Merge& merge : content.vocabulary.merges) {
        const auto& tokens = content.vocabulary.tokens;
        ASSERT_LT(std::max({merge.left, merge.right, merge.result}), tokens.size());
        EXPECT_EQ(tokens[merge.left] + tokens[merge.right], tokens[merge.result]);
      }
    } catch (const DataError& error) {
      EXPECT_EQ(std::string(error.what()).rfind("x: ", 0), 0u) << error.what();
    }
  }
}

}  // namespace
}  // namespace motley
