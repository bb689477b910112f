// Which steps are meant, what a table of kernels adds up, and what a trace looks like.
#include "train/step_profile.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "tensor/error.h"

namespace motley {
namespace {

TEST(ProfileSteps, AreARangeOrOneStep) {
  EXPECT_FALSE(parse_profile_steps(""));
  for (const auto* text : {"steps=10-12", "10-12"}) {
    const auto range = parse_profile_steps(text);
    ASSERT_TRUE(range) << text;
    EXPECT_EQ(range->first, 10u);
    EXPECT_EQ(range->last, 12u);
    EXPECT_EQ(range->size(), 3u);
  }
  EXPECT_EQ(parse_profile_steps("steps=7")->size(), 1u);
}

TEST(ProfileSteps, AreRefusedWhenTheyNameNoSteps) {
  for (const auto* text : {"steps=", "steps=0-3", "steps=5-4", "10-", "-3", "ten", "1-2-3", "1,2",
                           "99999999999999999999"}) {
    try {
      (void)parse_profile_steps(text);
      ADD_FAILURE() << text << " was taken";
    } catch (const ConfigError& error) {
      EXPECT_EQ(error.code(), "config.profile");
      EXPECT_NE(std::string(error.what()).find(text), std::string::npos);
    }
  }
}

/// Two kernels on the compute stream, with a gap of 1 s between them, and a copy beside the first.
std::vector<TimedCommand> some_commands() {
  return {{.name = "gemm", .stream = 0, .began = 10, .ended = 12, .work = {8e9, 1e9}},
          {.name = "read", .stream = 1, .began = 11, .ended = 12.5, .work = {0, 3e9}},
          {.name = "norm", .stream = 0, .began = 13, .ended = 14, .work = {0, 2e9}},
          {.name = "gemm", .stream = 0, .began = 14, .ended = 15, .work = {4e9, 1e9}}};
}

TEST(ProfileSummary, AddsUpByKernelCostliestFirst) {
  const ProfileSummary summary = summarize(some_commands());
  ASSERT_EQ(summary.kernels.size(), 3u);
  EXPECT_EQ(summary.kernels[0].name, "gemm");
  EXPECT_EQ(summary.kernels[0].calls, 2u);
  EXPECT_DOUBLE_EQ(summary.kernels[0].seconds, 3);
  EXPECT_DOUBLE_EQ(summary.kernels[0].work.flops, 12e9);
  EXPECT_EQ(summary.kernels[1].name, "read");
  EXPECT_EQ(summary.kernels[2].name, "norm");
  EXPECT_DOUBLE_EQ(summary.seconds, 5);
  EXPECT_DOUBLE_EQ(summary.busy, 4) << "the gap and the copies do not count";
  EXPECT_TRUE(summarize({}).kernels.empty());
}

TEST(ProfileSummary, ShowsRatesAgainstThePeaks) {
  const auto lines = format_profile(summarize(some_commands()), {.flops = 8e9, .bytes = 4e9}, 2, 2);
  ASSERT_EQ(lines.size(), 5u);
  EXPECT_EQ(lines[0],
            "2 steps of 2500.0 ms, the device busy 80.0% of them; peaks: 8 GFLOP/s, 4.0 GB/s");
  EXPECT_NE(lines[2].find("gemm"), std::string::npos);
  EXPECT_NE(lines[2].find("1500.00  75.0%        4.0 (50%)        0.7 (17%)"), std::string::npos)
      << lines[2];
  EXPECT_NE(lines[3].find("-        2.0 (50%)"), std::string::npos) << lines[3];
  EXPECT_NE(lines[4].find("1 others"), std::string::npos);
}

TEST(ChromeTrace, HasARowForEachThreadAndStream) {
  const Trace trace{.process = "rank 3 on \"n1\"",
                    .rank = 3,
                    .began = 10,
                    .commands = some_commands(),
                    .phases = {{"compute 7", 10, 14}},
                    .messages = {{"reduce-scatter bucket 2", 11, 11.5}}};
  const auto document = nlohmann::json::parse(format_chrome_trace(trace));
  std::vector<std::string> rows;
  std::size_t num_spans = 0;
  for (const auto& event : document.at("traceEvents")) {
    EXPECT_EQ(event.at("pid"), 3);
    if (event.at("ph") == "M") {
      rows.push_back(event.at("args").at("name"));
      continue;
    }
    ++num_spans;
    EXPECT_GE(event.at("ts").get<double>(), 0);
    if (event.at("name") == "norm") {
      EXPECT_DOUBLE_EQ(event.at("ts").get<double>(), 3e6);
      EXPECT_DOUBLE_EQ(event.at("dur").get<double>(), 1e6);
      EXPECT_DOUBLE_EQ(event.at("args").at("GB/s").get<double>(), 2);
      EXPECT_FALSE(event.at("args").contains("GFLOP/s"));
    }
  }
  EXPECT_EQ(rows, (std::vector<std::string>{"rank 3 on \"n1\"", "phases", "communication",
                                            "device: compute", "device: copies 1"}));
  EXPECT_EQ(num_spans, 6u);
}

}  // namespace
}  // namespace motley
