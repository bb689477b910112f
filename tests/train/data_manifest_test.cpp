#include "train/data_manifest.h"

#include <gtest/gtest.h>

#include "tensor/error.h"
#include "tests/scratch_directory.h"

namespace motley {
namespace {

const char* const hash = "00112233445566778899aabbccddeeff";

DataManifest example() {
  return {.vocab_size = 300,
          .tokenizer_file = "tokenizer.json",
          .tokenizer_hash = "abc",
          .train = {.shards = {{"train_000000.bin", 1044, 10, hash},
                               {"train_000001.bin", 1030, 3, hash}},
                    .tokens = 13,
                    .text_bytes = 40,
                    .documents = 2},
          .validation = {.shards = {{"val_000000.bin", 1028, 2, hash}},
                         .tokens = 2,
                         .text_bytes = 7,
                         .documents = 1}};
}

TEST(Manifest, ReadsWhatItWrote) {
  const ScratchDirectory scratch;
  example().write(scratch.path());
  const DataManifest read = DataManifest::read(scratch.path());
  EXPECT_EQ(read.vocab_size, 300u);
  EXPECT_EQ(read.tokenizer_file, "tokenizer.json");
  EXPECT_EQ(read.tokenizer_hash, "abc");
  EXPECT_EQ(read.train.text_bytes, 40u);
  EXPECT_EQ(read.train.documents, 2u);
  ASSERT_EQ(read.train.shards.size(), 2u);
  EXPECT_EQ(read.train.shards[1].file, "train_000001.bin");
  EXPECT_EQ(read.train.shards[1].bytes, 1030u);
  EXPECT_EQ(read.train.shards[1].tokens, 3u);
  EXPECT_EQ(read.train.shards[1].hash, hash);
  EXPECT_EQ(read.validation.tokens, 2u);
}

struct DamageRow {
  const char* name;
  const char* from;
  const char* to;
  const char* reason;
};

class DamagedManifest : public testing::TestWithParam<DamageRow> {};

TEST_P(DamagedManifest, IsRefusedWithItsPlaceAndLeftAlone) {
  const ScratchDirectory scratch;
  example().write(scratch.path());
  const io::Path path = DataManifest::path_in(scratch.path());
  std::string text = io::read_text(path);
  const std::size_t place = text.find(GetParam().from);
  ASSERT_NE(place, std::string::npos);
  text.replace(place, std::string_view(GetParam().from).size(), GetParam().to);
  io::write_text_atomically(path, text);
  const auto before = scratch.contents();
  const std::string message = message_of<DataError>([&] { DataManifest::read(scratch.path()); });
  expect_mentions(message, path.string());
  expect_mentions(message, GetParam().reason);
  EXPECT_EQ(scratch.contents(), before);
}

INSTANTIATE_TEST_SUITE_P(
    All, DamagedManifest,
    testing::Values(
        DamageRow{"Cut", "\"splits\"", "\"", "JSON"},
        DamageRow{"OtherFormat", "motley-data", "other-data", "other-data"},
        DamageRow{"LaterVersion", "\"version\": 1", "\"version\": 2", "version 2"},
        DamageRow{"NoVocabulary", "\"vocab_size\": 300", "\"vocab_size\": 0", "vocab_size"},
        DamageRow{"MissingField", "\"text_bytes\"", "\"text\"", "text_bytes"},
        DamageRow{"NegativeCount", "\"documents\": 2", "\"documents\": -2", "documents"},
        DamageRow{"SumTooLarge", "\"tokens\": 13", "\"tokens\": 14", "more tokens"},
        DamageRow{"SumTooSmall", "\"tokens\": 13", "\"tokens\": 12", "fewer tokens"},
        DamageRow{"NameOutside", "train_000001.bin", "../secret", "shards[1].file"},
        DamageRow{"AbsoluteName", "train_000001.bin", "/etc/passwd", "shards[1].file"},
        DamageRow{"EmptyName", "train_000001.bin", "", "shards[1].file"},
        DamageRow{"TokenizerOutside", "tokenizer.json", "a/b", "tokenizer.file"},
        DamageRow{"NoHash", "00112233445566778899aabbccddeeff", "0011", "xxh3_128"}),
    [](const auto& row) { return row.param.name; });

TEST(Manifest, MissingMeansThatThisIsNoDataDirectory) {
  const ScratchDirectory scratch;
  expect_mentions(message_of<DataError>([&] { DataManifest::read(scratch.path()); }),
                  "manifest.json");
}

}  // namespace
}  // namespace motley
