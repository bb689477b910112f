#include "train/token_shard.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "tensor/error.h"
#include "tests/scratch_directory.h"

namespace motley {
namespace {

constexpr std::size_t u32_vocabulary = 128'256;

std::vector<std::uint32_t> counting(std::size_t count, std::uint32_t first = 0) {
  std::vector<std::uint32_t> tokens(count);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

io::Path write_shard(const io::Path& path, std::span<const std::uint32_t> tokens,
                     std::size_t vocab_size) {
  ShardWriter writer(path, vocab_size);
  writer.append(tokens);
  writer.finish();
  return path;
}

std::vector<std::uint32_t> read_all(const ShardReader& shard) {
  std::vector<std::uint32_t> tokens(shard.num_tokens());
  shard.read(0, tokens);
  return tokens;
}

void set_word(std::string& file, std::size_t word, std::uint32_t value) {
  std::memcpy(file.data() + 4 * word, &value, sizeof(value));
}

std::uint32_t word_of(const std::string& file, std::size_t word) {
  std::uint32_t value = 0;
  std::memcpy(&value, file.data() + 4 * word, sizeof(value));
  return value;
}

struct VersionRow {
  std::size_t vocab_size;
  ShardVersion version;
  std::uint32_t magic;
};

class ShardVersions : public testing::TestWithParam<VersionRow> {};

TEST_P(ShardVersions, ReadsWhatItWrote) {
  const ScratchDirectory scratch;
  const auto last = static_cast<std::uint32_t>(GetParam().vocab_size - 1);
  // More than one block of the conversion, and the largest token.
  std::vector<std::uint32_t> tokens = counting(65'534);
  tokens.insert(tokens.end(), {last, 0, last, 7, 8, 9});
  const io::Path path = write_shard(scratch / "a.bin", tokens, GetParam().vocab_size);
  const ShardReader shard(path);
  EXPECT_EQ(shard.version(), GetParam().version);
  EXPECT_EQ(shard.size(), std::filesystem::file_size(path));
  EXPECT_EQ(read_all(shard), tokens);
  std::vector<std::uint32_t> part(5);
  shard.read(65'532, part);
  EXPECT_EQ(part, (std::vector<std::uint32_t>{65'532, 65'533, last, 0, last}));
}

TEST_P(ShardVersions, WritesTheBytesOfLlmC) {
  const ScratchDirectory scratch;
  const io::Path path =
      write_shard(scratch / "a.bin", std::vector<std::uint32_t>{1, 258}, GetParam().vocab_size);
  const std::string file = io::read_text(path);
  EXPECT_EQ(word_of(file, 0), GetParam().magic);
  EXPECT_EQ(word_of(file, 1), static_cast<std::uint32_t>(GetParam().version));
  EXPECT_EQ(word_of(file, 2), 2u);
  for (std::size_t i = 3; i < 256; ++i) EXPECT_EQ(word_of(file, i), 0u) << i;
  const bool is_narrow = GetParam().version == ShardVersion::u16;
  const std::string expected =
      is_narrow ? std::string("\1\0\2\1", 4) : std::string("\1\0\0\0\2\1\0\0", 8);
  EXPECT_EQ(file.substr(shard_header_bytes), expected);
}

INSTANTIATE_TEST_SUITE_P(All, ShardVersions,
                         testing::Values(VersionRow{65'535, ShardVersion::u16, 20240520},
                                         VersionRow{65'536, ShardVersion::u32, 20240801},
                                         VersionRow{u32_vocabulary, ShardVersion::u32, 20240801}));

TEST(TokenShard, MayBeEmpty) {
  const ScratchDirectory scratch;
  EXPECT_EQ(ShardReader(write_shard(scratch / "a.bin", {}, 10)).num_tokens(), 0u);
}

TEST(TokenShard, WritesOnlyTokensOfTheVocabulary) {
  const ScratchDirectory scratch;
  ShardWriter writer(scratch / "a.bin", 10);
  writer.append(counting(10));
  const std::string message = message_of<DataError>([&] {
    writer.append(std::vector<std::uint32_t>{3, 10});
  });
  expect_mentions(message, "a.bin");
  expect_mentions(message, "token 10 at position 11");
}

TEST(TokenShard, IsNothingUntilItIsFinished) {
  const ScratchDirectory scratch;
  ShardWriter writer(scratch / "a.bin", 10);
  writer.append(counting(10));
  EXPECT_THROW(ShardReader(scratch / "a.bin"), DataError);
}

TEST(TokenShard, NeverReplacesAFile) {
  const ScratchDirectory scratch;
  scratch.write("a.bin", "precious");
  EXPECT_THROW(ShardWriter(scratch / "a.bin", 10), IoError);
  EXPECT_EQ(io::read_text(scratch / "a.bin"), "precious");
}

TEST(TokenShard, RefusesToReadPastItsEnd) {
  const ScratchDirectory scratch;
  const ShardReader shard(write_shard(scratch / "a.bin", counting(5), 10));
  std::vector<std::uint32_t> tokens(3);
  shard.read(2, tokens);
  EXPECT_THROW(shard.read(3, tokens), DataError);
  EXPECT_THROW(shard.read(~std::uint64_t{0}, tokens), DataError);
}

// A file of this many bytes that ends in these tokens and is a hole before them, which costs no
// disk.
void write_sparse(const io::Path& path, std::string_view header, std::uint64_t size,
                  std::span<const std::byte> last_bytes) {
  io::File file = io::File::create(path);
  file.write(header);
  std::filesystem::resize_file(path, size - last_bytes.size());
  file.write_at(size - last_bytes.size(), last_bytes);
  file.close();
}

TEST(TokenShard, ReadsBeyondTwoGibibytes) {
  const ScratchDirectory scratch;
  // As llm.c would write it: the count fits word 2, the bytes do not fit 31 bits.
  const std::uint64_t count = (std::uint64_t{1} << 30) + 50'000'000;
  std::string header(shard_header_bytes, '\0');
  set_word(header, 0, 20240520);
  set_word(header, 1, 1);
  set_word(header, 2, static_cast<std::uint32_t>(count));
  const std::vector<std::uint16_t> last = {11, 22, 33};
  write_sparse(scratch / "a.bin", header, shard_header_bytes + 2 * count,
               std::as_bytes(std::span(last)));
  const ShardReader shard(scratch / "a.bin");
  EXPECT_EQ(shard.num_tokens(), count);
  std::vector<std::uint32_t> tokens(4);
  shard.read(count - 4, tokens);
  EXPECT_EQ(tokens, (std::vector<std::uint32_t>{0, 11, 22, 33}));
}

TEST(TokenShard, ReadsMoreTokensThanLlmCCanCount) {
  const ScratchDirectory scratch;
  const std::uint64_t count = (std::uint64_t{1} << 32) + 5;
  std::string header(shard_header_bytes, '\0');
  set_word(header, 0, 20240801);
  set_word(header, 1, 7);
  set_word(header, 3, 5);
  set_word(header, 4, 1);
  const std::vector<std::uint32_t> last = {100'000, 7};
  write_sparse(scratch / "a.bin", header, shard_header_bytes + 4 * count,
               std::as_bytes(std::span(last)));
  const ShardReader shard(scratch / "a.bin");
  EXPECT_EQ(shard.num_tokens(), count);
  std::vector<std::uint32_t> tokens(3);
  shard.read(count - 3, tokens);
  EXPECT_EQ(tokens, (std::vector<std::uint32_t>{0, 100'000, 7}));
}

struct DamageRow {
  const char* name;
  void (*damage)(std::string& file);
  const char* reason;
};

class DamagedShard : public testing::TestWithParam<DamageRow> {};

TEST_P(DamagedShard, IsRefusedByNameAndLeftAlone) {
  const ScratchDirectory scratch;
  std::string file = io::read_text(write_shard(scratch / "whole.bin", counting(100), 1000));
  GetParam().damage(file);
  const io::Path path = scratch.write("damaged.bin", file);
  const auto before = scratch.contents();
  const std::string message = message_of<DataError>([&] { const ShardReader shard(path); });
  expect_mentions(message, path.string());
  expect_mentions(message, GetParam().reason);
  EXPECT_EQ(scratch.contents(), before);
}

INSTANTIATE_TEST_SUITE_P(
    All, DamagedShard,
    testing::Values(
        DamageRow{"Empty", [](std::string& f) { f.clear(); }, "0 bytes"},
        DamageRow{"HalfAHeader", [](std::string& f) { f.resize(500); }, "500 bytes"},
        DamageRow{"HeaderWithoutTokens", [](std::string& f) { f.resize(1024); },
                  "promises 100 tokens"},
        DamageRow{"OneTokenShort", [](std::string& f) { f.resize(f.size() - 2); }, "cut short"},
        DamageRow{"OneByteShort", [](std::string& f) { f.resize(f.size() - 1); }, "cut short"},
        DamageRow{"OneByteLong", [](std::string& f) { f += '\0'; }, "added to"},
        DamageRow{"OneTokenLong", [](std::string& f) { f.append(2, '\0'); }, "added to"},
        DamageRow{"CountTooLarge", [](std::string& f) { set_word(f, 2, 0x7fffffff); },
                  "promises 2147483647"},
        DamageRow{"CountNegative", [](std::string& f) { set_word(f, 2, 0xffffffff); }, "negative"},
        DamageRow{"CountZero", [](std::string& f) { set_word(f, 2, 0); }, "promises 0 tokens"},
        DamageRow{"WideCountContradicts", [](std::string& f) { set_word(f, 3, 99); }, "contradict"},
        DamageRow{"WideCountOverflows",
                  [](std::string& f) {
                    set_word(f, 2, 0);
                    set_word(f, 3, 100);
                    set_word(f, 4, 0x80000000);
                  },
                  "promises 9223372036854775908"},
        DamageRow{"OtherVersion", [](std::string& f) { set_word(f, 1, 2); }, "version 2"},
        DamageRow{"OtherMagic", [](std::string& f) { set_word(f, 0, 12345); }, "starts with 12345"},
        DamageRow{"MagicOfTheOtherVersion", [](std::string& f) { set_word(f, 0, 20240801); },
                  "version 1"},
        DamageRow{"NanoGptWithoutHeader",
                  [](std::string& f) { f.erase(0, 1024).append(2000, '\1'); }, "nanoGPT"},
        DamageRow{"EvaluationFile", [](std::string& f) { set_word(f, 0, 20240522); }, "evaluation"},
        DamageRow{"ModelFile", [](std::string& f) { set_word(f, 0, 20240326); }, "model"}),
    [](const auto& row) { return row.param.name; });

TEST(TokenShard, NamesAMissingFile) {
  const ScratchDirectory scratch;
  expect_mentions(message_of<IoError>([&] { const ShardReader shard(scratch / "none.bin"); }),
                  "none.bin");
}

}  // namespace
}  // namespace motley
