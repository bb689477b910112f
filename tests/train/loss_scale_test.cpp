// Training with activations in f16: the scale of the loss, alone and with steps that follow it.
#include "train/loss_scale.h"

#include <gtest/gtest.h>

#include <cmath>

#include "dist/self_comm.h"
#include "dist/thread_comm.h"
#include "tests/train/tiny_training.h"

namespace motley {
namespace {

TEST(LossScale, HalvesWhenGradientsOverflowAndDoublesAfterManyThatDoNot) {
  LossScale scale{.scale = 1024};
  scale.after_step(false);
  EXPECT_EQ(scale, (LossScale{.scale = 512, .good_steps = 0, .skipped = 1}));
  for (std::uint64_t step = 1; step < LossScale::growth_interval; ++step) scale.after_step(true);
  EXPECT_EQ(scale.scale, 512);
  EXPECT_EQ(scale.good_steps, LossScale::growth_interval - 1);
  scale.after_step(true);
  EXPECT_EQ(scale, (LossScale{.scale = 1024, .good_steps = 0, .skipped = 1}));
  for (int step = 0; step < 7; ++step) scale.after_step(true);
  scale.after_step(false);
  EXPECT_EQ(scale, (LossScale{.scale = 512, .good_steps = 0, .skipped = 2}));
}

TEST(LossScale, DoesNotGrowIntoInfinity) {
  LossScale scale;
  for (std::uint64_t step = 0; step < LossScale::growth_interval; ++step) scale.after_step(true);
  EXPECT_EQ(scale, LossScale{});
  LossScale above{.scale = 4 * LossScale::largest};  // as set
  for (std::uint64_t step = 0; step < LossScale::growth_interval; ++step) above.after_step(true);
  EXPECT_EQ(above.scale, 4 * LossScale::largest);
}

TEST(LossScale, StartsFromPowersOfTwo) {
  for (const std::uint64_t good : {1ULL, 2ULL, 1ULL << 40}) EXPECT_TRUE(LossScale::is_scale(good));
  for (const std::uint64_t bad : {0ULL, 3ULL, 65535ULL}) EXPECT_FALSE(LossScale::is_scale(bad));
}

constexpr std::size_t num_leaves = 3;

/// A run that follows its scale. All steps see the same leaves.
struct ScaledRun {
  TrainStep train;
  LossScale scale;
  std::uint64_t num_steps = 0;

  ScaledRun(Communicator& comm, Dtype dtype, float first_scale)
      : train(test::device_of(comm.rank()), comm, test::tiny_llama(), {.dtype = dtype},
              {.lr = 2e-3}),
        scale{.scale = first_scale} {
    train.initialize(7);
  }

  StepResult step() {
    const UpdateStep update{.learning_rate = 2e-3f,
                            .step = ++num_steps,
                            .skipped = scale.skipped,
                            .loss_scale = scale.scale};
    const StepResult result = train.run(
        even_plan(num_leaves, train.rank_order()),
        [&](std::size_t leaf) {
          return test::hashed_leaf(train.decoder().config().vocab,
                                   static_cast<std::uint32_t>(leaf));
        },
        update);
    scale.after_step(result.non_finite == 0);
    return result;
  }

  std::vector<std::vector<float>> values() {
    std::vector<std::vector<float>> all;
    for (const ParamBucket& bucket : train.params().buckets())
      all.push_back(test::read(train.device().stream(), bucket.values));
    return all;
  }
};

TEST(TrainingInF16, FollowsF32) {
  SelfComm comm;
  ScaledRun wide(comm, Dtype::f32, 1);
  ScaledRun narrow(comm, Dtype::f16, 4096);
  double first_loss = 0;
  double last_loss = 0;
  for (int i = 0; i < 10; ++i) {
    const StepResult expected = wide.step();
    const StepResult result = narrow.step();
    EXPECT_NEAR(result.loss / expected.loss, 1, 2e-3) << "step " << i;
    EXPECT_NE(result.loss, expected.loss) << "nothing was rounded";
    last_loss = result.loss;
    if (i > 0) continue;
    first_loss = result.loss;
    EXPECT_NEAR(result.gradient_norm / expected.gradient_norm, 1, 4e-3);
  }
  EXPECT_LT(last_loss, first_loss - 0.05);
  EXPECT_EQ(narrow.scale.skipped, 0u);
}

/// Steps that overflow change nothing, on any rank, and leave no trace but the scale: the first
/// that does not overflow gives the bits of one that began with its scale.
TEST(TrainingInF16, FindsItsScaleFromFarAbove) {
  for (const int num_ranks : {1, 2}) {
    run_ranks(num_ranks, [](Communicator& comm) {
      ScaledRun run(comm, Dtype::f16, std::ldexp(1.0f, 30));
      const auto before = run.values();
      StepResult result;
      while ((result = run.step()).non_finite > 0) {
        ASSERT_LT(run.num_steps, 30u);
        EXPECT_EQ(run.values(), before);
        EXPECT_TRUE(std::isfinite(result.loss));
      }
      EXPECT_GE(run.scale.skipped, 14u) << "2^17 times a gradient above 1/2 is infinite";
      EXPECT_EQ(run.scale.scale, std::ldexp(1.0f, 30 - static_cast<int>(run.scale.skipped)));
      ScaledRun direct(comm, Dtype::f16, run.scale.scale);
      const StepResult expected = direct.step();
      EXPECT_EQ(result.loss, expected.loss);
      EXPECT_EQ(result.gradient_norm, expected.gradient_norm);
      EXPECT_EQ(run.values(), direct.values());
    });
  }
}

/// Nothing waits for the scale: it is written to the device between steps.
TEST(TrainingInF16, WaitsNoMoreThanOtherSteps) {
  SelfComm comm;
  ScaledRun run(comm, Dtype::f16, std::ldexp(1.0f, 20));
  run.step();
  run.step();
  const StreamStatistics before = run.train.device().stream().statistics();
  const std::uint64_t skipped = run.scale.skipped;
  run.step();
  EXPECT_EQ(run.scale.skipped, skipped + 1) << "the scale changes";
  const StreamStatistics after = run.train.device().stream().statistics();
  ScaledRun other(comm, Dtype::f32, 1);
  other.step();
  other.step();
  const StreamStatistics other_before = other.train.device().stream().statistics();
  other.step();
  const StreamStatistics other_after = other.train.device().stream().statistics();
  // A step that is skipped reads the sums besides, to say where it went wrong.
  EXPECT_EQ(after.waits - before.waits, other_after.waits - other_before.waits + 1);
}

}  // namespace
}  // namespace motley
