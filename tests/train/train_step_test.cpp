// Training for real, at small size: the loss falls, ranks agree, and equal runs give equal bits.
#include "train/train_step.h"

#include <gtest/gtest.h>

#include "dist/self_comm.h"
#include "dist/shard_plan.h"
#include "dist/thread_comm.h"
#include "tests/model/tiny_models.h"
#include "tests/train/tiny_run.h"

namespace motley {
namespace {

using test::TinyRun;

TEST(TrainStep, LearnsAShortTextByHeart) {
  // 60 steps on the same 4 x 16 tokens: a model of 8 k parameters must remember most of them. The
  // loss starts at ln(67) = 4.2 nats; without the context no model can get below the entropy of the
  // tokens, 3.3 nats.
  SelfComm comm;
  TinyRun run(comm, test::tiny_llama(), {.lr = 1e-2});
  double loss = 0;
  for (std::uint64_t step = 0; step < 60; ++step) loss = run.step(step, test::Data::repeated).loss;
  EXPECT_LT(loss, 1.0);
}

TEST(TrainStep, EveryOptimizerLowersTheLoss) {
  for (const OptimSettings& settings :
       {OptimSettings{.name = "adamw", .lr = 5e-3}, OptimSettings{.name = "lion", .lr = 1e-3},
        OptimSettings{.name = "sgd", .lr = 1e-1}}) {
    SelfComm comm;
    TinyRun run(comm, test::tiny_gpt2(), settings);
    const double first = run.step(0, test::Data::repeated).loss;
    double last = first;
    for (std::uint64_t step = 1; step < 20; ++step)
      last = run.step(step, test::Data::repeated).loss;
    EXPECT_LT(last, first - 0.3) << settings.name;
  }
}

TEST(TrainStep, RepeatsBitForBit) {
  const auto train = [] {
    SelfComm comm;
    TinyRun run(comm, test::tiny_llama(), {.lr = 1e-2});
    for (std::uint64_t step = 0; step < 5; ++step) run.step(step, test::Data::hashed);
    return run.values();
  };
  EXPECT_EQ(train(), train());
}

/// Four leaves a step: even and uneven splits, and a rank without any.
TEST(TrainStep, ThreadRanksReachTheLossOfOneRank) {
  std::vector<double> alone;
  for (const int num_ranks : {1, 2, 3, 5}) {
    run_ranks(num_ranks, [&](Communicator& comm) {
      TinyRun run(comm, test::tiny_gpt2(), {.lr = 1e-2});
      std::vector<double> losses;
      for (std::uint64_t step = 0; step < 10; ++step)
        losses.push_back(run.step(step, test::Data::hashed).loss);
      if (num_ranks == 1) alone = losses;
      for (std::size_t i = 0; i < losses.size(); ++i)
        EXPECT_NEAR(losses[i], alone[i], 1e-5 * alone[i]);
      test::expect_equal_replicas(comm, run);
    });
  }
}

TEST(TrainStep, ANonFiniteGradientChangesNothingOnAnyRank) {
  run_ranks(2, [](Communicator& comm) {
    TinyRun run(comm, test::tiny_llama(), {.lr = 1e-2});
    run.step(0, test::Data::hashed);
    const auto before = run.values();
    // One bad weight on every replica makes every gradient a NaN.
    Tensor bad = run.train.params().at("final_norm.weight").value.flat().slice(0, 1);
    const std::vector<float> good = test::read(run.train.device().stream(), bad);
    run.train.device().stream().fill(bad, 0x7FC00000u);
    const StepResult result = run.step(1, test::Data::hashed);
    EXPECT_GT(result.non_finite, 0u);
    EXPECT_GE(result.first_bad_rank, 0);
    run.train.device().stream().write<float>(bad, good);
    EXPECT_EQ(run.values(), before);
  });
}

}  // namespace
}  // namespace motley
