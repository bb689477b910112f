#include "train/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace motley {
namespace {

constexpr double forever = std::numeric_limits<double>::infinity();

OptimSettings settings(ScheduleKind schedule) {
  OptimSettings optim;
  optim.lr = 1.0;
  optim.min_lr_ratio = 0.2;
  optim.schedule = schedule;
  optim.warmup = 4;
  optim.decay_fraction = 0.25;
  return optim;
}

TEST(LearningRate, RisesLinearlyInWarmup) {
  const OptimSettings optim = settings(ScheduleKind::cosine);
  EXPECT_DOUBLE_EQ(learning_rate(optim, 0, 20), 0.25);
  EXPECT_DOUBLE_EQ(learning_rate(optim, 3, 20), 1.0);
}

struct Expected {
  ScheduleKind schedule;
  std::uint64_t step;
  double rate;
};

class LearningRateOfTwentySteps : public testing::TestWithParam<Expected> {};

TEST_P(LearningRateOfTwentySteps, MatchesValuesWorkedOutByHand) {
  const Expected& row = GetParam();
  EXPECT_NEAR(learning_rate(settings(row.schedule), row.step, 20), row.rate, 1e-12);
}

// Steps 4 to 20 decay from 1 to 0.2: step 8 is a quarter, 12 a half. wsd decays from step 15 on, a
// fifth a step: sqrt(0.2) = 0.4472...
INSTANTIATE_TEST_SUITE_P(
    Schedules, LearningRateOfTwentySteps,
    testing::Values(Expected{ScheduleKind::cosine, 4, 1.0}, Expected{ScheduleKind::cosine, 12, 0.6},
                    Expected{ScheduleKind::cosine, 8, 0.2 + 0.4 * (1 + std::sqrt(0.5))},
                    Expected{ScheduleKind::cosine, 20, 0.2},
                    Expected{ScheduleKind::cosine, 99, 0.2}, Expected{ScheduleKind::linear, 4, 1.0},
                    Expected{ScheduleKind::linear, 8, 0.8}, Expected{ScheduleKind::linear, 20, 0.2},
                    Expected{ScheduleKind::constant, 19, 1.0}, Expected{ScheduleKind::wsd, 14, 1.0},
                    Expected{ScheduleKind::wsd, 15, 1.0},
                    Expected{ScheduleKind::wsd, 16, 0.2 + 0.8 * (1 - std::sqrt(0.2))},
                    Expected{ScheduleKind::wsd, 20, 0.2}));

TEST(LearningRate, StaysAtThePeakInARunWithoutLimit) {
  for (const auto schedule :
       {ScheduleKind::cosine, ScheduleKind::linear, ScheduleKind::constant, ScheduleKind::wsd}) {
    EXPECT_DOUBLE_EQ(learning_rate(settings(schedule), 1000, forever), 1.0);
  }
}

TEST(LearningRate, SurvivesWarmupLongerThanTheRun) {
  const OptimSettings optim = settings(ScheduleKind::cosine);
  EXPECT_DOUBLE_EQ(learning_rate(optim, 1, 2), 0.5);
  EXPECT_DOUBLE_EQ(learning_rate(optim, 4, 4), 0.2);
}

TEST(RunLength, IsThatOfTheLimitReachedFirst) {
  TrainSettings limits;
  EXPECT_EQ(run_length(limits, 100, {}).steps, forever);
  limits.steps = 50;
  EXPECT_EQ(run_length(limits, 100, {}).steps, 50);
  limits.tokens = 4001;  // the 41st step passes it
  EXPECT_EQ(run_length(limits, 100, {}).steps, 41);
  EXPECT_FALSE(run_length(limits, 100, {}).is_estimate);
}

TEST(RunLength, IsEstimatedFromTheTimeSpent) {
  TrainSettings limits;
  limits.minutes = 2;
  EXPECT_EQ(run_length(limits, 100, {}).steps, forever);
  const RunLength length = run_length(limits, 100, {.step = 10, .tokens = 1000, .seconds = 30});
  EXPECT_DOUBLE_EQ(length.steps, 40);
  EXPECT_TRUE(length.is_estimate);
  limits.steps = 20;
  EXPECT_FALSE(run_length(limits, 100, {.step = 10, .tokens = 1000, .seconds = 30}).is_estimate);
}

TEST(RunLength, MakesATimedRunDecayToItsEnd) {
  TrainSettings limits;
  limits.minutes = 1;
  const OptimSettings optim = settings(ScheduleKind::linear);
  const TrainProgress end{.step = 500, .tokens = 0, .seconds = 60};
  EXPECT_NEAR(learning_rate(optim, end.step, run_length(limits, 1, end).steps), 0.2, 1e-12);
  const TrainProgress middle{.step = 250, .tokens = 0, .seconds = 30};
  EXPECT_NEAR(learning_rate(optim, middle.step, run_length(limits, 1, middle).steps),
              1 - 0.8 * 246 / 496, 1e-12);
}

TEST(IsFinished, LooksAtEveryLimit) {
  TrainSettings limits;
  const TrainProgress progress{.step = 10, .tokens = 1000, .seconds = 60};
  EXPECT_FALSE(is_finished(limits, progress));
  limits.steps = 10;
  EXPECT_TRUE(is_finished(limits, progress));
  limits.steps = 11;
  EXPECT_FALSE(is_finished(limits, progress));
  limits.tokens = 1000;
  EXPECT_TRUE(is_finished(limits, progress));
  limits.tokens = 0;
  limits.minutes = 1;
  EXPECT_TRUE(is_finished(limits, progress));
}

}  // namespace
}  // namespace motley
