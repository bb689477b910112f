#include "train/console.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/scratch_directory.h"

namespace motley {
namespace {

struct Recorded {
  std::vector<std::string> lines;
  Console console{5, [this](std::string_view line) { lines.emplace_back(line); }};
};

StepRecord record(std::uint64_t step, double seconds, double loss) {
  return {.step = step,
          .tokens = 1000 * step,
          .seconds = seconds,
          .loss = loss,
          .gradient_norm = 0.4123,
          .learning_rate = 5.98e-4,
          .step_tokens = 1000,
          .step_seconds = 1};
}

TEST(Console, PrintsTheFirstStepThenOneLineAnInterval) {
  Recorded out;
  for (std::uint64_t step = 1; step <= 12; ++step) {
    out.console.step(record(step, static_cast<double>(step), 4.0), {.steps = 100});
  }
  ASSERT_EQ(out.lines.size(), 3U);  // steps 1, 6 and 11
  EXPECT_EQ(
      out.lines[0],
      "step      1/100  loss 4.0000 (avg 4.0000)  |g| 0.412  lr 5.98e-04  1.0k tok/s  time 1s  "
      "eta 1m39s");
  EXPECT_EQ(
      out.lines[2],
      "step     11/100  loss 4.0000 (avg 4.0000)  |g| 0.412  lr 5.98e-04  1.0k tok/s  time 11s  "
      "eta 1m29s");
}

TEST(Console, TellsWhereTheRanksTimeWentSinceTheLastLine) {
  Recorded out;
  StepRecord first = record(1, 1, 4.0);
  first.ranks = {{.leaves = 2, .times = {.compute = 9, .exposed = 0, .wait = 0, .io = 1}}};
  out.console.step(first, {.steps = 100});
  StepRecord hidden = record(2, 2, 4.0);
  hidden.ranks = {{.leaves = 1, .times = {.compute = 3, .exposed = 1, .wait = 0, .io = 0}},
                  {.leaves = 1, .times = {.compute = 1, .exposed = 1, .wait = 2, .io = 0}}};
  out.console.step(hidden, {.steps = 100});
  StepRecord last = hidden;
  last.step = 9;
  last.seconds = 9;
  out.console.step(last, {.steps = 100});
  ASSERT_EQ(out.lines.size(), 2U);
  expect_mentions(out.lines[0], " tok/s (compute 90% comm 0% wait 0% io 10%)  time ");
  expect_mentions(out.lines[1], " tok/s (compute 50% comm 25% wait 25% io 0%)  time ");
}

TEST(Console, TellsTheLossScaleAndSkippedSteps) {
  Recorded out;
  StepRecord scaled = record(1, 1, 4.0);
  scaled.loss_scale = 32768;
  out.console.step(scaled, {.steps = 100});
  scaled = record(9, 9, 4.0);
  scaled.loss_scale = 16384;
  scaled.skipped = 1;
  out.console.step(scaled, {.steps = 100});
  ASSERT_EQ(out.lines.size(), 2U);
  expect_mentions(out.lines[0], "lr 5.98e-04  scale 32768  1.0k tok/s");
  expect_mentions(out.lines[1], "lr 5.98e-04  scale 16384 (1 step skipped)  1.0k tok/s");
}

TEST(Console, TellsAChangeOfPlanAndWhy) {
  Recorded out;
  PlanChange change{.reason = PlanReason::gain,
                    .step = 1300,
                    .first_step = 1319,
                    .plan = {{{0, 4}, {4, 8}, {8, 11}, {11, 14}}},
                    .gain = 0.2,
                    .rank = 3,
                    .excess = 0.314,
                    .left_out = {},
                    .taken_in = {},
                    .leaf_seconds = {}};
  out.console.planned(change);
  change.taken_in = {2};
  out.console.planned(change);
  change.reason = PlanReason::measure;
  out.console.planned(change);
  const std::vector<std::string> expected{
      "plan   1300  rank 3 is 31% slower than its share: leaves 4+4+3+3 from step 1320",
      "plan   1300  rank 2 has become fast enough to help: leaves 4+4+3+3 from step 1320"};
  EXPECT_EQ(out.lines, expected);
}

TEST(Console, AveragesLossesWithoutBiasTowardsZero) {
  Recorded out;
  out.console.step(record(1, 1, 4.0), {.steps = 10});
  out.console.step(record(2, 9, 2.0), {.steps = 10});
  // (0.95 * 0.05 * 4 + 0.05 * 2) / (0.95 * 0.05 + 0.05)
  EXPECT_NE(out.lines[1].find("loss 2.0000 (avg 2.9744)"), std::string::npos) << out.lines[1];
}

TEST(Console, ShowsNoTotalWhenItIsAGuess) {
  Recorded out;
  out.console.step(record(1, 1, 4.0), {.steps = 60, .is_estimate = true});
  EXPECT_EQ(out.lines[0].find('/'), out.lines[0].find("/s")) << out.lines[0];
  EXPECT_NE(out.lines[0].find("eta 59s"), std::string::npos) << out.lines[0];
}

TEST(Console, PrintsTheLastStepBeforeItStops) {
  Recorded out;
  out.console.step(record(1, 1, 4.0), {.steps = 2});
  out.console.step(record(2, 2, 3.0), {.steps = 2});
  out.console.stopped(2, "train.steps reached");
  ASSERT_EQ(out.lines.size(), 3U);
  EXPECT_EQ(out.lines[1].rfind("step      2/2", 0), 0U);
  EXPECT_EQ(out.lines[2], "stop      2  train.steps reached");
}

TEST(Console, TellsTheBestValidation) {
  Recorded out;
  out.console.evaluation(10, {.loss = 3.0, .perplexity = 20.09, .bits_per_byte = {}, .tokens = 1},
                         {});
  out.console.evaluation(20, {.loss = 3.5, .perplexity = 33.1, .bits_per_byte = 1.25, .tokens = 1},
                         3.0);
  EXPECT_EQ(out.lines[0], "val      10  loss 3.0000  ppl 20.09  best so far");
  EXPECT_EQ(out.lines[1], "val      20  loss 3.5000  ppl 33.10  1.2500 bits/byte  best 3.0000");
}

TEST(Startup, JoinsRanksThatAreAlike) {
  StartupTable table;
  table.version = "0.1.0";
  table.run = "runs/first";
  table.optimizer = "adamw, lr 6e-4 cosine";
  table.limits = "3 minutes";
  table.seed = 1337;
  table.model = {.vocab = 4096,
                 .context = 256,
                 .layers = 6,
                 .width = 384,
                 .heads = 6,
                 .kv_heads = 2,
                 .head_dim = 64,
                 .mlp_width = 896,
                 .tie = true};
  table.sequence = 256;
  table.leaf_sequences = 8;
  const RankRow cpu{.host = "node1",
                    .device = "PoCL",
                    .kind = "cpu",
                    .memory_used = 1 << 30,
                    .memory_total = std::uint64_t{4} << 30,
                    .leaves = 1};
  RankRow gpu = cpu;
  gpu.device = "Arc A770";
  gpu.kind = "gpu";
  gpu.leaves = 2;
  table.ranks = {cpu, cpu, gpu};
  table.data_path = "data";
  table.train_tokens = 9'960'000;
  table.train_shards = 1;
  table.validation_tokens = 104'000;
  const std::string model =
      "model   llama  10.1M parameters  6 layers  6 heads (2 kv)  width 384  T 256  vocabulary "
      "4096";
  const std::vector<std::string> expected{
      "motley  0.1.0  run runs/first  seed 1337  adamw, lr 6e-4 cosine  until 3 minutes",
      model,
      "world   3 ranks on 1 host  a step is 4 leaves of 8 x 256 = 8192 tokens",
      "  rank   host   device          memory used of total    leaves  share",
      "  0-1    node1  PoCL (cpu)        1.0 GiB of 4.0 GiB    1       25.0% each",
      "  2      node1  Arc A770 (gpu)    1.0 GiB of 4.0 GiB    2       50.0%",
      "data    data  10.0M tokens in 1 shard  validation 104.0k"};
  EXPECT_EQ(format_startup(table), expected);
}

TEST(Format, IsAsPeopleRead) {
  EXPECT_EQ(format_bytes(0), "0 bytes");
  EXPECT_EQ(format_bytes(1536), "1.5 KiB");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(141'700), "141.7k");
  EXPECT_EQ(format_count(999'999), "1.0M");
  EXPECT_EQ(format_duration(0.4), "0s");
  EXPECT_EQ(format_duration(59.7), "1m00s");
  EXPECT_EQ(format_duration(187), "3m07s");
  EXPECT_EQ(format_duration(66'120), "18h22m");
  EXPECT_EQ(format_duration(273'600), "3d04h");
  EXPECT_EQ(format_duration(1.0 / 0.0), "?");
  EXPECT_EQ(format_short_time(0.00834), "8.3 ms");
  EXPECT_EQ(format_short_time(2.409), "2.41 s");
}

}  // namespace
}  // namespace motley
