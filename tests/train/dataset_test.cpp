#include "train/dataset.h"

#include <gtest/gtest.h>

#include <numeric>

#include "tensor/error.h"
#include "tests/scratch_directory.h"
#include "train/data_writer.h"

namespace motley {
namespace {

constexpr std::size_t vocab_size = 1000;

std::vector<std::uint32_t> counting(std::size_t count) {
  std::vector<std::uint32_t> tokens(count);
  std::iota(tokens.begin(), tokens.end(), 0u);
  return tokens;
}

// A data directory whose train split counts 0, 1, 2, ... in shards of 10, and without a validation
// split.
io::Path make_data(const ScratchDirectory& scratch, std::size_t num_tokens = 95) {
  const io::Path directory = scratch / "data";
  io::create_directories(directory);
  SplitWriter writer(directory, Split::train, vocab_size, 10);
  writer.append(counting(num_tokens), 321);
  DataManifest manifest{.vocab_size = vocab_size,
                        .tokenizer_file = "tokenizer.json",
                        .tokenizer_hash = "0123",
                        .train = writer.finish(),
                        .validation = {}};
  manifest.write(directory);
  return directory;
}

// Changes one byte of a file.
void flip(const io::Path& path, std::size_t position) {
  std::string file = io::read_text(path);
  file.at(position) = static_cast<char>(file.at(position) ^ 1);
  io::write_text_atomically(path, file);
}

TEST(Dataset, ReadsItsShardsAsOneSequence) {
  const ScratchDirectory scratch;
  const Dataset dataset = Dataset::open(make_data(scratch), Split::train, Verify::hashes);
  EXPECT_EQ(dataset.num_shards(), 10u);
  EXPECT_EQ(dataset.num_tokens(), 95u);
  EXPECT_EQ(dataset.vocab_size(), vocab_size);
  EXPECT_EQ(dataset.text_bytes(), 321u);
  const std::vector<std::uint32_t> all = counting(95);
  for (std::size_t first = 0; first <= 95; ++first) {
    for (const std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{25}, 95 - first}) {
      if (count > 95 - first) continue;
      std::vector<std::uint32_t> tokens(count);
      dataset.read(first, tokens);
      EXPECT_TRUE(std::equal(tokens.begin(), tokens.end(),
                             all.begin() + static_cast<std::ptrdiff_t>(first)));
    }
  }
  std::vector<std::uint32_t> tokens(2);
  EXPECT_THROW(dataset.read(94, tokens), DataError);
}

TEST(Dataset, CountsWholeSamplesWithTheirLastTarget) {
  const ScratchDirectory scratch;
  const Dataset dataset = Dataset::open(make_data(scratch, 21), Split::train);
  EXPECT_EQ(dataset.num_samples(1), 20u);
  EXPECT_EQ(dataset.num_samples(4), 5u);
  EXPECT_EQ(dataset.num_samples(20), 1u);
  EXPECT_EQ(dataset.num_samples(21), 0u);
  EXPECT_THROW(static_cast<void>(dataset.num_samples(0)), DataError);
}

TEST(Dataset, SamplesFollowEachOtherAcrossShards) {
  const ScratchDirectory scratch;
  const Dataset dataset = Dataset::open(make_data(scratch), Split::train);
  std::vector<std::uint32_t> sample(8);
  for (std::uint64_t i = 0; i < dataset.num_samples(7); ++i) {
    dataset.read_sample(i, sample);
    for (std::size_t t = 0; t < 8; ++t) EXPECT_EQ(sample[t], 7 * i + t);
  }
  EXPECT_THROW(dataset.read_sample(dataset.num_samples(7), sample), DataError);
  EXPECT_THROW(dataset.read_sample(0, std::span(sample).first(1)), DataError);
}

TEST(Dataset, OpensShardsWithoutAManifest) {
  const ScratchDirectory scratch;
  const io::Path directory = make_data(scratch);
  const Dataset one = Dataset::open(directory / "train_000009.bin", Split::train);
  EXPECT_EQ(one.num_tokens(), 5u);
  EXPECT_FALSE(one.vocab_size().has_value());
  EXPECT_FALSE(one.text_bytes().has_value());
  const std::vector<io::Path> paths = {directory / "train_000009.bin",
                                       directory / "train_000000.bin"};
  const Dataset two = Dataset::open_shards(paths);
  std::vector<std::uint32_t> tokens(15);
  two.read(0, tokens);
  EXPECT_EQ(tokens[4], 94u);
  EXPECT_EQ(tokens[5], 0u);
  EXPECT_THROW(Dataset::open_shards({}), DataError);
}

TEST(Dataset, SkipsAnEmptyShard) {
  const ScratchDirectory scratch;
  const io::Path directory = make_data(scratch);
  ShardWriter(scratch / "empty.bin", vocab_size).finish();
  const std::vector<io::Path> paths = {scratch / "empty.bin", directory / "train_000000.bin",
                                       scratch / "empty.bin", directory / "train_000001.bin"};
  const Dataset dataset = Dataset::open_shards(paths);
  std::vector<std::uint32_t> tokens(20);
  dataset.read(0, tokens);
  EXPECT_EQ(tokens, counting(20));
}

TEST(Dataset, ChecksTokensAgainstTheVocabulary) {
  const ScratchDirectory scratch;
  const io::Path directory = make_data(scratch);
  Dataset dataset = Dataset::open(directory / "train_000001.bin", Split::train);
  std::vector<std::uint32_t> tokens(10);
  dataset.read(0, tokens);
  dataset.limit_vocabulary(15);
  const std::string message = message_of<DataError>([&] { dataset.read(0, tokens); });
  expect_mentions(message, "train_000001.bin");
  expect_mentions(message, "token 15 at position 5");
  // Another model's data are refused at once.
  Dataset whole = Dataset::open(directory, Split::train);
  expect_mentions(message_of<DataError>([&] { whole.limit_vocabulary(999); }),
                  "vocabulary of 1000");
  whole.limit_vocabulary(1024);
}

TEST(Dataset, FindsATokenThatADamagedFileHolds) {
  const ScratchDirectory scratch;
  const io::Path directory = make_data(scratch);
  // Token 12 becomes 12 + 256: still in range, and the size is right, so that only the hash can
  // tell.
  flip(directory / "train_000001.bin", shard_header_bytes + 2 * 2 + 1);
  const auto before = scratch.contents();
  Dataset::open(directory, Split::train, Verify::sizes);
  const std::string message =
      message_of<DataError>([&] { Dataset::open(directory, Split::train, Verify::hashes); });
  expect_mentions(message, "train_000001.bin");
  expect_mentions(message, "hash");
  EXPECT_EQ(scratch.contents(), before);
}

TEST(Dataset, RefusesFilesThatDifferFromTheManifest) {
  const ScratchDirectory scratch;
  const io::Path directory = make_data(scratch);
  std::filesystem::copy_file(directory / "train_000009.bin", directory / "train_000003.bin",
                             std::filesystem::copy_options::overwrite_existing);
  expect_mentions(message_of<DataError>([&] { Dataset::open(directory, Split::train); }),
                  "train_000003.bin");
  io::remove_all(directory / "train_000003.bin");
  expect_mentions(message_of<DataError>([&] { Dataset::open(directory, Split::train); }),
                  "train_000003.bin is missing");
}

TEST(Dataset, SaysWhatIsMissing) {
  const ScratchDirectory scratch;
  const io::Path directory = make_data(scratch);
  expect_mentions(message_of<DataError>([&] { Dataset::open(directory, Split::validation); }),
                  "'val' split");
  expect_mentions(message_of<DataError>([&] { Dataset::open(scratch.path(), Split::train); }),
                  "motley data prepare");
  expect_mentions(message_of<DataError>([&] { Dataset::open(scratch / "none", Split::train); }),
                  "none");
}

}  // namespace
}  // namespace motley
