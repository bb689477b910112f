#include "train/evaluate.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <limits>

#include "dist/self_comm.h"
#include "dist/thread_comm.h"
#include "tensor/error.h"
#include "tests/scratch_directory.h"
#include "tests/train/tiny_training.h"
#include "train/data_writer.h"

namespace motley {
namespace {

constexpr std::size_t T = 9;
constexpr std::size_t num_samples = 7;
constexpr std::uint64_t text_bytes = 250;

ModelConfig model() {
  return test::tiny_llama();
}

/// A validation split of `samples` sequences of T tokens, with a manifest.
io::Path make_data(const ScratchDirectory& scratch, std::size_t samples = num_samples) {
  io::create_directories(scratch / "data");
  std::vector<std::uint32_t> tokens;
  const auto vocab = static_cast<std::uint32_t>(model().vocab);
  for (std::uint32_t i = 0; i < samples * T + 1; ++i) tokens.push_back(test::hashed(9, i) % vocab);
  SplitWriter writer(scratch / "data", Split::validation, model().vocab, 1000);
  writer.append(tokens, text_bytes);
  DataManifest manifest{.vocab_size = model().vocab,
                        .tokenizer_file = "tokenizer.json",
                        .tokenizer_hash = "0123",
                        .train = {},
                        .validation = writer.finish()};
  manifest.write(scratch / "data");
  return scratch / "data";
}

/// A rank's model with the weights that all ranks have.
struct Evaluator {
  Communicator& comm;
  Device& device;
  ParamStore params;
  Decoder decoder;

  explicit Evaluator(Communicator& c)
      : comm(c),
        device(test::device_of(c.rank())),
        params(device, model()),
        decoder(device, model(), params) {
    test::set_hashed_weights(device.stream(), params);
  }
  Evaluation run(const Dataset& dataset, const EvaluationSettings& settings) {
    return evaluate(device, comm, decoder, dataset, settings);
  }
  /// The mean loss of some samples, each evaluated alone.
  double mean_loss(const Dataset& dataset, std::size_t samples) {
    double sum = 0;
    for (std::uint64_t i = 0; i < samples; ++i) {
      const Batch batch = make_batch(dataset, std::span(&i, 1), {1, T});
      Tensor loss = device.zeros({1});
      decoder.evaluate(device.stream(), upload_batch(device, 1, T, host_batch(batch)), loss);
      sum += test::read(device.stream(), loss)[0];
    }
    return sum / static_cast<double>(samples * T);
  }
};

TEST(Evaluate, IsTheMeanOverTokens) {
  const ScratchDirectory scratch;
  const Dataset dataset = Dataset::open(make_data(scratch), Split::validation);
  SelfComm comm;
  Evaluator evaluator(comm);
  const double expected = evaluator.mean_loss(dataset, num_samples);
  // 1 and 7 fill every batch; with the others the last batch is padded, which must not count.
  for (const std::size_t B : {1u, 2u, 3u, 5u, 7u, 11u}) {
    const Evaluation result = evaluator.run(dataset, {{B, T}});
    EXPECT_NEAR(result.loss, expected, 1e-6 * expected) << B;
    EXPECT_EQ(result.tokens, num_samples * T) << B;
    EXPECT_DOUBLE_EQ(result.perplexity, std::exp(result.loss));
  }
}

TEST(Evaluate, IsTheSameOnAnyNumberOfRanks) {
  const ScratchDirectory scratch;
  const Dataset dataset = Dataset::open(make_data(scratch), Split::validation);
  SelfComm self;
  const Evaluation alone = Evaluator(self).run(dataset, {{2, T}});
  for (const int ranks : {2, 3}) {
    std::vector<Evaluation> results(static_cast<std::size_t>(ranks));
    run_ranks(ranks, [&](Communicator& comm) {
      results[static_cast<std::size_t>(comm.rank())] = Evaluator(comm).run(dataset, {{2, T}});
    });
    for (const Evaluation& result : results) {
      EXPECT_NEAR(result.loss, alone.loss, 1e-6 * alone.loss);
      EXPECT_EQ(result.loss, results[0].loss);
      EXPECT_EQ(result.tokens, alone.tokens);
    }
  }
}

TEST(Evaluate, LeavesRanksWithoutSamplesOut) {
  const ScratchDirectory scratch;
  const Dataset dataset = Dataset::open(make_data(scratch, 2), Split::validation);
  SelfComm self;
  const double expected = Evaluator(self).mean_loss(dataset, 2);
  run_ranks(3, [&](Communicator& comm) {
    const Evaluation result = Evaluator(comm).run(dataset, {{4, T}});
    EXPECT_NEAR(result.loss, expected, 1e-6 * expected);
    EXPECT_EQ(result.tokens, 2 * T);
  });
}

TEST(Evaluate, StopsAtWholeSequences) {
  const ScratchDirectory scratch;
  const Dataset dataset = Dataset::open(make_data(scratch), Split::validation);
  SelfComm comm;
  Evaluator evaluator(comm);
  const std::vector<std::pair<std::uint64_t, std::size_t>> rows = {
      {1, 1}, {T - 1, 1}, {T, 1}, {2 * T, 2}, {3 * T - 1, 2}, {1u << 30, num_samples}};
  for (const auto& [max_tokens, samples] : rows) {
    const Evaluation result = evaluator.run(dataset, {{2, T}, max_tokens});
    EXPECT_EQ(result.tokens, samples * T) << max_tokens;
    EXPECT_NEAR(result.loss, evaluator.mean_loss(dataset, samples), 1e-5) << max_tokens;
  }
}

TEST(Evaluate, CountsBitsPerByteWhereTheTextIsKnown) {
  const ScratchDirectory scratch;
  const io::Path data = make_data(scratch);
  SelfComm comm;
  Evaluator evaluator(comm);
  const Evaluation known = evaluator.run(Dataset::open(data, Split::validation), {{2, T}});
  ASSERT_TRUE(known.bits_per_byte.has_value());
  const double tokens_per_byte = static_cast<double>(num_samples * T + 1) / text_bytes;
  EXPECT_NEAR(*known.bits_per_byte, known.loss / std::log(2.0) * tokens_per_byte, 1e-12);
  const Dataset bare = Dataset::open(data / "val_000000.bin", Split::validation);
  EXPECT_FALSE(evaluator.run(bare, {{2, T}}).bits_per_byte.has_value());
}

TEST(Evaluate, RefusesShapesThatCannotBe) {
  const ScratchDirectory scratch;
  const Dataset dataset = Dataset::open(make_data(scratch), Split::validation);
  SelfComm comm;
  Evaluator evaluator(comm);
  for (const MicroBatchShape shape :
       {MicroBatchShape{0, T}, MicroBatchShape{2, 0}, MicroBatchShape{2, 21}}) {
    EXPECT_THROW(evaluator.run(dataset, {shape}), ConfigError) << shape.B << " x " << shape.T;
  }
  const ScratchDirectory other;
  const Dataset short_one = Dataset::open(make_data(other, 1), Split::validation);
  expect_mentions(message_of<DataError>([&] { evaluator.run(short_one, {{2, 10}}); }), "10 tokens");
}

TEST(Evaluate, EndsOnEveryRankWhenOneCannotRead) {
  const ScratchDirectory scratch;
  const io::Path data = make_data(scratch);
  std::atomic<int> num_ended = 0;
  run_ranks(3, [&](Communicator& comm) {
    Dataset dataset = Dataset::open(data / "val_000000.bin", Split::validation);
    if (comm.rank() == 1) dataset.limit_vocabulary(2);
    Evaluator evaluator(comm);
    expect_mentions(message_of<DataError>([&] { evaluator.run(dataset, {{2, T}}); }), "rank 1");
    ++num_ended;
  });
  EXPECT_EQ(num_ended, 3);
}

TEST(Evaluate, SaysWhenTheModelHasDiverged) {
  const ScratchDirectory scratch;
  const Dataset dataset = Dataset::open(make_data(scratch), Split::validation);
  std::atomic<int> num_ended = 0;
  run_ranks(2, [&](Communicator& comm) {
    Evaluator evaluator(comm);
    if (comm.rank() == 1) {
      Tensor norm = evaluator.params.at("final_norm.weight").value;
      const std::vector<float> bad(norm.size(), std::numeric_limits<float>::quiet_NaN());
      evaluator.device.stream().write<float>(norm, bad);
    }
    EXPECT_THROW(evaluator.run(dataset, {{2, T}}), NumericError);
    ++num_ended;
  });
  EXPECT_EQ(num_ended, 2);
}

}  // namespace
}  // namespace motley
