#include "train/batch.h"

#include <gtest/gtest.h>

#include <numeric>

#include "kernels/ops.h"
#include "tensor/error.h"
#include "tests/scratch_directory.h"

namespace motley {
namespace {

// A data set that counts 0, 1, 2, ...
Dataset counting_data(const ScratchDirectory& scratch, std::size_t num_tokens) {
  std::vector<std::uint32_t> tokens(num_tokens);
  std::iota(tokens.begin(), tokens.end(), 0u);
  ShardWriter writer(scratch / "a.bin", 100'000);
  writer.append(tokens);
  writer.finish();
  return Dataset::open(scratch / "a.bin", Split::train);
}

TEST(Batch, HoldsSamplesAndTheirNextTokens) {
  const ScratchDirectory scratch;
  const Dataset dataset = counting_data(scratch, 31);
  const Batch batch = make_batch(dataset, std::vector<std::uint64_t>{4, 0}, {2, 3});
  EXPECT_EQ(batch.tokens, (std::vector<std::int32_t>{12, 13, 14, 0, 1, 2}));
  EXPECT_EQ(batch.targets, (std::vector<std::int32_t>{13, 14, 15, 1, 2, 3}));
  EXPECT_EQ(batch.num_targets, 6u);
  EXPECT_EQ(batch.index.rows, (std::vector<std::int32_t>{0, 1, 2, 12, 13, 14}));
  EXPECT_EQ(batch.index.positions, (std::vector<std::int32_t>{3, 4, 5, 0, 1, 2}));
}

TEST(Batch, IsPaddedWithIgnoredTargets) {
  const ScratchDirectory scratch;
  const Dataset dataset = counting_data(scratch, 31);
  const std::int32_t none = op::ignored_target;
  const Batch batch = make_batch(dataset, std::vector<std::uint64_t>{1}, {3, 2});
  EXPECT_EQ(batch.tokens, (std::vector<std::int32_t>{2, 3, 0, 0, 0, 0}));
  EXPECT_EQ(batch.targets, (std::vector<std::int32_t>{3, 4, none, none, none, none}));
  EXPECT_EQ(batch.num_targets, 2u);
  EXPECT_THROW(make_batch(dataset, std::vector<std::uint64_t>{1, 2}, {1, 2}), DataError);
}

TEST(LeafSource, AnEpochOfLeavesHoldsEverySampleOnce) {
  const ScratchDirectory scratch;
  // 60 samples of 5 tokens; a step has 4 leaves of 3, so that an epoch is 5 steps.
  const Dataset dataset = counting_data(scratch, 301);
  const LeafSource source(dataset, 1337, {.batch = {3, 5}, .leaves_per_step = 4});
  std::vector<int> seen(60, 0);
  for (std::uint64_t step = 0; step < 5; ++step) {
    for (std::size_t leaf = 0; leaf < 4; ++leaf) {
      const Batch batch = source.leaf(step, leaf);
      for (std::size_t row = 0; row < 3; ++row)
        ++seen[static_cast<std::size_t>(batch.tokens[row * 5]) / 5];
    }
  }
  EXPECT_EQ(seen, std::vector<int>(60, 1));
  EXPECT_EQ(source.epochs_before(5), 1.0);
}

TEST(LeafSource, NamesDataThatAreTooSmall) {
  const ScratchDirectory scratch;
  const Dataset dataset = counting_data(scratch, 6);
  EXPECT_EQ(LeafSource(dataset, 1, {.batch = {1, 5}, .leaves_per_step = 1}).num_samples(), 1u);
  try {
    const LeafSource source(dataset, 1, {.batch = {1, 6}, .leaves_per_step = 1});
    FAIL() << "no error";
  } catch (const DataError& error) {
    EXPECT_EQ(error.code(), "data.too-small");
    for (const char* part : {"a.bin", " 6 tokens", "needs 7"}) expect_mentions(error.what(), part);
  }
}

TEST(LeafSource, DoesNotDependOnHowTheBatchIsSplit) {
  const ScratchDirectory scratch;
  const Dataset dataset = counting_data(scratch, 301);
  // 12 sequences a step: as one leaf, as 4 of 3 and as 12 of 1, the same in the same order.
  const auto tokens_of_step = [&](std::size_t leaves, std::uint64_t step) {
    const LeafSource source(dataset, 7, {.batch = {12 / leaves, 5}, .leaves_per_step = leaves});
    std::vector<std::int32_t> tokens;
    for (std::size_t leaf = 0; leaf < leaves; ++leaf) {
      const Batch batch = source.leaf(step, leaf);
      tokens.insert(tokens.end(), batch.tokens.begin(), batch.tokens.end());
    }
    return tokens;
  };
  for (const std::uint64_t step : {0u, 4u, 5u, 1000u}) {
    EXPECT_EQ(tokens_of_step(1, step), tokens_of_step(4, step));
    EXPECT_EQ(tokens_of_step(1, step), tokens_of_step(12, step));
  }
  EXPECT_NE(tokens_of_step(1, 0), tokens_of_step(1, 5))
      << "the second epoch has an order of its own";
}

TEST(LeafSource, RefusesDataWithoutASample) {
  const ScratchDirectory scratch;
  const Dataset dataset = counting_data(scratch, 5);
  expect_mentions(message_of<DataError>([&] {
                    LeafSource(dataset, 1, {.batch = {1, 5}, .leaves_per_step = 1});
                  }),
                  "no sample");
  const LeafSource source(dataset, 1, {.batch = {1, 4}, .leaves_per_step = 1});
  EXPECT_EQ(source.leaf(0, 0).tokens, (std::vector<std::int32_t>{0, 1, 2, 3}));
  EXPECT_THROW(source.leaf(0, 1), DataError);
}

}  // namespace
}  // namespace motley
