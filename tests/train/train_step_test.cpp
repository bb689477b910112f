// Training for real, at small size: the loss falls, ranks agree, and equal runs give equal bits.
#include "train/train_step.h"

#include <gtest/gtest.h>

#include <cmath>

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

/// What a short run comes to, bit for bit.
struct Outcome {
  std::vector<double> numbers;  // loss, norm and factor of each step
  std::vector<std::vector<float>> values;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

Outcome train_ten_steps(Communicator& comm, const ReducerOptions& reducer) {
  TinyRun run(comm, test::tiny_gpt2(), {.lr = 1e-2}, reducer);
  Outcome outcome;
  for (std::uint64_t step = 0; step < 10; ++step) {
    const StepResult result = run.step(step, test::Data::hashed);
    for (const double number : {result.loss, result.gradient_norm, result.factor})
      outcome.numbers.push_back(number);
  }
  test::expect_equal_replicas(comm, run);
  outcome.values = run.values();
  return outcome;
}

/// Four leaves a step: even and uneven splits, and a rank without any; memory that suits the
/// device, mapped, copied, and not shared between ranks; several hosts.
TEST(TrainStep, RanksHaveTheBitsOfOneRank) {
  SelfComm self;
  const Outcome alone = train_ten_steps(self, {});
  const ReducerOptions copying{.memory = HostMemory::copied};
  const ReducerOptions mapping{.memory = HostMemory::mapped};
  const ReducerOptions blocking{.overlap = false};
  const ReducerOptions messages{.exchange = {.shared_memory = false}};
  struct Way {
    int ranks;
    int per_host;
    ReducerOptions reducer;
  };
  for (const Way& way : {Way{2, 0, {}}, Way{3, 0, {}}, Way{5, 0, {}}, Way{3, 0, copying},
                         Way{3, 0, messages}, Way{4, 2, {}}, Way{3, 2, copying}, Way{3, 0, mapping},
                         Way{4, 2, mapping}, Way{3, 0, blocking}}) {
    run_ranks(
        way.ranks,
        [&](Communicator& comm) {
          EXPECT_TRUE(train_ten_steps(comm, way.reducer) == alone)
              << comm.name() << " of " << way.ranks << " with " << way.per_host << " a host";
        },
        way.per_host);
  }
}

/// Other sums, and so other bits, but nearly the same.
TEST(TrainStep, InexactSumsAndBf16MessagesStayNear) {
  SelfComm self;
  const Outcome alone = train_ten_steps(self, {});
  for (const ReducerOptions& reducer :
       {ReducerOptions{.exact = false},
        ReducerOptions{.exchange = {.wire = Wire::bf16, .shared_memory = false}}}) {
    run_ranks(3, [&](Communicator& comm) {
      const Outcome together = train_ten_steps(comm, reducer);
      EXPECT_NE(together.values, alone.values);
      const double tolerance = reducer.exact ? 2e-2 : 1e-4;  // bf16 keeps 8 bits
      for (std::size_t i = 0; i < alone.numbers.size(); i += 3)
        EXPECT_NEAR(together.numbers[i], alone.numbers[i], tolerance * alone.numbers[i]);
    });
  }
}

/// Gradients are rounded for the wire on the device or on the host, as the memory has it.
TEST(TrainStep, WhereMessagesAreRoundedChangesNoBit) {
  const auto train = [](int ranks_per_host, HostMemory memory) {
    std::vector<std::vector<float>> values;
    run_ranks(
        3,
        [&](Communicator& comm) {
          const Outcome outcome =
              train_ten_steps(comm, {.exchange = {.wire = Wire::bf16}, .memory = memory});
          if (comm.rank() == 0) values = outcome.values;
        },
        ranks_per_host);
    return values;
  };
  for (const int ranks_per_host : {1, 2}) {
    const auto rounded = train(ranks_per_host, HostMemory::automatic);
    EXPECT_EQ(train(ranks_per_host, HostMemory::copied), rounded) << ranks_per_host;
    EXPECT_EQ(train(ranks_per_host, HostMemory::mapped), rounded) << ranks_per_host;
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
    comm.barrier();  // ranks may share the memory
    run.train.device().stream().fill(bad, 0x7FC00000u);
    const StepResult result = run.step(1, test::Data::hashed);
    EXPECT_GT(result.non_finite, 0u);
    EXPECT_GE(result.first_bad_rank, 0);
    run.train.params();  // have come from their owners
    run.train.device().stream().write<float>(bad, good);
    comm.barrier();
    EXPECT_EQ(run.values(), before);
  });
}

/// Final activations of 3e19 saturate the softmax, so the gradient of the head is of that size:
/// finite, but its squares are beyond 3.4e38.
TEST(TrainStep, SquaresThatOverflowAreReportedAndChangeNothingOnAnyRank) {
  run_ranks(2, [](Communicator& comm) {
    TinyRun run(comm, test::tiny_llama(), {.lr = 1e-2});
    Tensor scale = run.train.params().at("final_norm.weight").value.flat();
    run.train.device().stream().write<float>(scale, std::vector<float>(scale.size(), 3e19f));
    comm.barrier();
    const auto before = run.values();
    const StepResult result = run.step(0, test::Data::hashed);
    EXPECT_GT(result.non_finite, 0u);
    EXPECT_EQ(result.first_bad_rank, -1) << "no gradient value is to blame";
    EXPECT_TRUE(std::isinf(result.gradient_norm)) << result.gradient_norm;
    EXPECT_EQ(run.values(), before);
  });
}

/// One rank, one leaf: all is recorded in the first step. From the second on nothing is looked up
/// or taken from the pool, and the host waits once, for the outcome.
TEST(TrainStep, TheSteadyStateRepeatsWhatTheFirstStepRecorded) {
  SelfComm comm;
  TinyRun run(comm, test::tiny_llama(), {.lr = 1e-2});
  const LeafPlan plan = even_plan(1, run.train.rank_order());
  run.step(plan, 0, test::Data::hashed);
  const StreamStatistics first = run.device.stream().statistics();
  const std::size_t allocations = run.device.pool().statistics().num_allocations;
  const std::size_t in_use = run.device.pool().statistics().peak_in_use;
  run.step(plan, 1, test::Data::hashed);
  const StreamStatistics second = run.device.stream().statistics();
  EXPECT_EQ(second.lookups, first.lookups);
  EXPECT_EQ(second.waits, first.waits + 1);
  EXPECT_GT(second.launches, first.launches + 50);
  EXPECT_EQ(run.device.pool().statistics().num_allocations, allocations);
  EXPECT_EQ(run.device.pool().statistics().peak_in_use, in_use);
}

/// The leaf is recorded before there is one, and its memory with it.
TEST(TrainStep, PrepareTakesTheMemoryOfALeaf) {
  SelfComm comm;
  TinyRun run(comm, test::tiny_gpt2(), {.lr = 1e-2});
  const std::size_t before = run.device.pool().statistics().in_use;
  run.train.prepare({TinyRun::leaf_sequences, TinyRun::sequence});
  const std::size_t prepared = run.device.pool().statistics().in_use;
  EXPECT_GT(prepared, before);
  run.step(0, test::Data::hashed);
  const std::size_t in_use = run.device.pool().statistics().in_use;
  // Besides: the losses of four leaves, what is put aside of their gradients, and small change.
  std::size_t parameters = 0;
  for (const Param& param : run.train.params().params()) parameters += param.value.bytes();
  EXPECT_LT(in_use, prepared + 4 * parameters + (std::size_t{1} << 20));
}

}  // namespace
}  // namespace motley
