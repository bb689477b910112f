#include "train/data_prepare.h"

#include <gtest/gtest.h>

#include "tensor/draft_directory.h"
#include "tensor/error.h"
#include "tests/scratch_directory.h"
#include "train/dataset.h"
#include "train/tokenizer.h"

namespace motley {
namespace {

// Words, numbers, several kinds of white space, and bytes that are no UTF-8.
std::string sample_text(int num_words) {
  std::string text;
  for (int i = 0; i < num_words; ++i) {
    text += "word" + std::to_string(i * 7919 % 101);
    text += i % 11 == 0 ? "\n\n" : i % 13 == 0 ? "  " : i % 17 == 0 ? " \xff\xc3 " : " ";
  }
  return text;
}

// A scratch directory with a tokenizer, and settings that lead from its files to "data".
struct Fixture {
  ScratchDirectory scratch;
  PrepareSettings settings;

  Fixture() {
    const std::string text = sample_text(500);
    const std::string_view view = text;
    Tokenizer::train(std::span(&view, 1), 320).save(scratch / "tok.json");
    settings.tokenizer = scratch / "tok.json";
    settings.output = scratch / "data";
  }
  Tokenizer tokenizer() const { return Tokenizer::load(settings.tokenizer); }
};

std::vector<std::uint32_t> tokens_of(const io::Path& directory, Split split) {
  const Dataset dataset = Dataset::open(directory, split, Verify::hashes);
  std::vector<std::uint32_t> tokens(dataset.num_tokens());
  dataset.read(0, tokens);
  return tokens;
}

// The texts of a split's documents.
std::vector<std::string> documents_of(const Fixture& f, Split split) {
  const Tokenizer tokenizer = f.tokenizer();
  std::vector<std::string> documents;
  for (const std::uint32_t token : tokens_of(f.settings.output, split)) {
    if (token == tokenizer.end_of_text()) {
      documents.emplace_back();
    } else {
      documents.at(documents.size() - 1) += tokenizer.token(token);
    }
  }
  return documents;
}

TEST(Prepare, OneTextKeepsItsTokensAndHoldsBackItsEnd) {
  Fixture f;
  const std::string text = sample_text(3000);
  f.settings.files = {f.scratch.write("text.txt", text)};
  f.settings.shard_tokens = 1000;
  f.settings.piece_bytes = 100;
  const DataManifest manifest = prepare_data(f.settings);
  const std::vector<std::string> train = documents_of(f, Split::train);
  const std::vector<std::string> validation = documents_of(f, Split::validation);
  ASSERT_EQ(train.size(), 1u);
  ASSERT_EQ(validation.size(), 1u);
  EXPECT_EQ(train[0] + validation[0], text);
  EXPECT_NEAR(static_cast<double>(validation[0].size()), 0.05 * static_cast<double>(text.size()),
              30);
  EXPECT_EQ(manifest.train.text_bytes, train[0].size());
  EXPECT_EQ(manifest.validation.text_bytes, validation[0].size());
  // Reading in pieces gives the very tokens of the whole.
  std::vector<std::uint32_t> expected = f.tokenizer().encode(train[0]);
  expected.insert(expected.begin(), *f.tokenizer().end_of_text());
  EXPECT_EQ(tokens_of(f.settings.output, Split::train), expected);
  for (std::size_t i = 0; i + 1 < manifest.train.shards.size(); ++i) {
    EXPECT_EQ(manifest.train.shards[i].tokens, 1000u);
  }
}

TEST(Prepare, WritesTheManifestAndTheTokenizer) {
  Fixture f;
  f.settings.files = {f.scratch.write("text.txt", sample_text(200))};
  f.settings.output += "/";  // as a shell completes it
  prepare_data(f.settings);
  const DataManifest manifest = DataManifest::read(f.scratch / "data");
  EXPECT_EQ(manifest.vocab_size, f.tokenizer().vocab_size());
  EXPECT_EQ(manifest.tokenizer_hash, f.tokenizer().content_hash());
  EXPECT_EQ(io::read_text(f.scratch / "data/tokenizer.json"), io::read_text(f.settings.tokenizer));
  EXPECT_EQ(io::list(f.scratch / "data"),
            (std::vector<std::string>{"manifest.json", "tokenizer.json", "train_000000.bin",
                                      "val_000000.bin"}));
  EXPECT_EQ(io::list(f.scratch.path()), (std::vector<std::string>{"data", "text.txt", "tok.json"}));
}

TEST(Prepare, OfManyDocumentsEveryKthIsForValidation) {
  Fixture f;
  std::string lines;
  for (int i = 0; i < 12; ++i) {
    lines += R"({"id": 1, "text": "document )" + std::to_string(i) + "\\n\\u00e9\"}\r\n";
    lines += i % 2 == 0 ? "\n" : "{\"text\": \"\"}\n";  // neither is a document
  }
  f.settings.files = {f.scratch.write("a.jsonl", lines)};
  f.settings.format = TextFormat::jsonl;
  f.settings.validation = ValidationPart::parse("25%");
  prepare_data(f.settings);
  EXPECT_EQ(documents_of(f, Split::validation),
            (std::vector<std::string>{"document 3\n\u00e9", "document 7\n\u00e9",
                                      "document 11\n\u00e9"}));
  EXPECT_EQ(documents_of(f, Split::train).size(), 9u);
}

TEST(Prepare, OfManyTextsEveryKthIsForValidationAndOfFewTheEndOfEach) {
  Fixture f;
  for (int i = 0; i < 4; ++i) {
    f.settings.files.push_back(f.scratch.write("t" + std::to_string(i), sample_text(100 + i)));
  }
  f.settings.files.push_back(f.scratch.write("empty", ""));
  f.settings.validation = ValidationPart::parse("50%");
  prepare_data(f.settings);
  EXPECT_EQ(documents_of(f, Split::validation),
            (std::vector<std::string>{sample_text(101), sample_text(103)}));
  f.settings.validation = ValidationPart::parse("10%");
  f.settings.existing = ExistingOutput::overwrite;
  prepare_data(f.settings);
  const std::vector<std::string> train = documents_of(f, Split::train);
  const std::vector<std::string> validation = documents_of(f, Split::validation);
  ASSERT_EQ(train.size(), 4u);
  ASSERT_EQ(validation.size(), 4u);
  for (int i = 0; i < 4; ++i) {
    const auto at = static_cast<std::size_t>(i);
    EXPECT_EQ(train[at] + validation[at], sample_text(100 + i));
  }
}

TEST(Prepare, ANumberOfValidationTokensIsNearlyMet) {
  Fixture f;
  f.settings.files = {f.scratch.write("text.txt", sample_text(3000))};
  f.settings.validation = ValidationPart::parse("500");
  const DataManifest manifest = prepare_data(f.settings);
  EXPECT_NEAR(static_cast<double>(manifest.validation.tokens), 500, 50);
}

TEST(Prepare, NoValidationSplitOnRequest) {
  Fixture f;
  f.settings.files = {f.scratch.write("text.txt", "a few words")};
  f.settings.validation = ValidationPart::parse("0");
  prepare_data(f.settings);
  EXPECT_EQ(documents_of(f, Split::train), std::vector<std::string>{"a few words"});
  EXPECT_THROW(Dataset::open(f.settings.output, Split::validation), DataError);
}

TEST(Prepare, GivesTheSameFilesAgain) {
  Fixture f;
  f.settings.files = {f.scratch.write("text.txt", sample_text(1000))};
  prepare_data(f.settings);
  const auto before = f.scratch.contents();
  f.settings.existing = ExistingOutput::overwrite;
  f.settings.piece_bytes = 50;
  prepare_data(f.settings);
  EXPECT_EQ(f.scratch.contents(), before);
}

TEST(Prepare, ReplacesOnlyWhatItWrote) {
  Fixture f;
  f.settings.files = {f.scratch.write("text.txt", sample_text(1000))};
  prepare_data(f.settings);
  expect_mentions(message_of<ConfigError>([&] { prepare_data(f.settings); }), "--overwrite");
  f.settings.existing = ExistingOutput::overwrite;
  f.scratch.write("data/notes.txt", "mine");
  const auto before = f.scratch.contents();
  expect_mentions(message_of<ConfigError>([&] { prepare_data(f.settings); }), "notes.txt");
  EXPECT_EQ(f.scratch.contents(), before);
  // A directory that is no data directory is never replaced.
  io::create_directories(f.scratch / "home");
  f.scratch.write("home/thesis.txt", "mine");
  f.settings.output = f.scratch / "home";
  EXPECT_THROW(prepare_data(f.settings), ConfigError);
  f.settings.output = f.scratch / "text.txt";
  EXPECT_THROW(prepare_data(f.settings), ConfigError);
  EXPECT_EQ(io::read_text(f.scratch / "home/thesis.txt"), "mine");
}

struct BadInputRow {
  const char* name;
  const char* contents;
  const char* reason;
};

class BadJsonl : public testing::TestWithParam<BadInputRow> {};

TEST_P(BadJsonl, IsRefusedWithItsLineAndNothingIsWritten) {
  Fixture f;
  f.settings.files = {f.scratch.write("a.jsonl", GetParam().contents)};
  f.settings.format = TextFormat::jsonl;
  const auto before = f.scratch.contents();
  const std::string message = message_of<DataError>([&] { prepare_data(f.settings); });
  expect_mentions(message, "a.jsonl");
  expect_mentions(message, GetParam().reason);
  EXPECT_EQ(f.scratch.contents(), before);
  EXPECT_FALSE(io::exists(f.settings.output));
  EXPECT_FALSE(io::exists(f.scratch / "data.partial"));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadJsonl,
    testing::Values(BadInputRow{"CutLine", "{\"text\": \"a\"}\n{\"text\": \"b", "a.jsonl:2"},
                    BadInputRow{"PlainText", "Once upon a time\n", "a.jsonl:1"},
                    BadInputRow{"OtherField", "\n{\"body\": \"a\"}\n", "a.jsonl:2"},
                    BadInputRow{"NotAString", "{\"text\": 5}\n", "text"},
                    BadInputRow{"NotAnObject", "[1]\n", "a.jsonl:1"},
                    BadInputRow{"NoDocument", "\n\n", "no text"},
                    BadInputRow{"TooFewForValidation", "{\"text\": \"a\"}\n", "--val"}),
    [](const auto& row) { return row.param.name; });

TEST(Prepare, LeavesAlonePrepareThatIsUnderWay) {
  Fixture f;
  f.settings.files = {f.scratch.write("text.txt", std::string(5000, 'a'))};
  const DraftDirectory other(f.settings.output, ".partial");
  io::write_text_atomically(other.path() / "train-00000.bin", "half of a shard");
  expect_mentions(message_of<IoError>([&] { prepare_data(f.settings); }), "is being written by");
  EXPECT_EQ(io::read_text(other.path() / "train-00000.bin"), "half of a shard");
  EXPECT_FALSE(io::exists(f.settings.output));
}

TEST(Prepare, RefusesBadSettings) {
  Fixture f;
  EXPECT_THROW(prepare_data(f.settings), ConfigError) << "no file";
  f.settings.files = {f.scratch / "none.txt"};
  EXPECT_THROW(prepare_data(f.settings), IoError);
  EXPECT_FALSE(io::exists(f.scratch / "data.partial"));
  f.settings.files = {f.scratch.write("text.txt", "some words")};
  f.settings.validation = ValidationPart::parse("100");
  EXPECT_THROW(prepare_data(f.settings), ConfigError) << "more than half";
  f.settings.validation = {};
  f.settings.shard_tokens = 0;
  EXPECT_THROW(prepare_data(f.settings), ConfigError);
  f.settings.shard_tokens = 100;
  f.settings.output = "";
  EXPECT_THROW(prepare_data(f.settings), ConfigError);
}

TEST(ValidationPart, IsAPercentageOrANumberOfTokens) {
  EXPECT_EQ(ValidationPart::parse("5%").fraction, 0.05);
  EXPECT_EQ(ValidationPart::parse("0.5%").fraction, 0.005);
  EXPECT_EQ(ValidationPart::parse("5%").tokens, 0u);
  EXPECT_EQ(ValidationPart::parse("100000").tokens, 100'000u);
  EXPECT_EQ(ValidationPart::parse("0").fraction, 0.0);
  for (const char* const text :
       {"", "%", "5%%", "-5%", "51%", "nan%", "inf%", "0.05", "-1", "5k", " 5%"}) {
    EXPECT_THROW(ValidationPart::parse(text), ConfigError) << text;
  }
}

}  // namespace
}  // namespace motley
