// Runs of the built program on several ranks, real ones and simulated ones: all of them come to the
// bits of one rank.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tensor/hash.h"
#include "tensor/io.h"
#include "tests/launch/program_runs.h"
#include "tests/scratch_directory.h"

namespace motley {
namespace {

using test::count_of;
using test::expect_ok;
using test::losses;
using test::Outcome;

/// The changes of shares for good, up to a step, in a run's metrics.jsonl.
std::vector<nlohmann::json> plans_until(const io::Path& run, std::uint64_t last_step) {
  std::vector<nlohmann::json> plans;
  std::istringstream lines(io::read_text(run / "metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    const auto record = nlohmann::json::parse(line);
    const bool is_change = record["kind"] == "plan" && record["reason"] == "gain";
    if (is_change && record["from"] <= last_step) plans.push_back(record);
  }
  return plans;
}

class Ranks : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    scratch_ = new ScratchDirectory;
    test::make_data(MOTLEY_PROGRAM, scratch_->path(), 400);
    expect_ok(train("alone", "--train.steps 20"));
  }
  static void TearDownTestSuite() { delete scratch_; }

  static std::string at(const std::string& name) { return (*scratch_ / name).string(); }
  /// A small Llama over T = 32, eight leaves of two sequences a step.
  static std::string train(const std::string& run, const std::string& more) {
    return MOTLEY_PROGRAM
           " train --model.layers 2 --model.width 48 --model.heads 4 --model.kv_heads 2"
           " --model.mlp_width 96 --model.context 32 --train.micro_batch 2"
           " --train.global_batch 512 --optim.lr 1e-2 --optim.schedule constant --data.path " +
           at("data") + " --train.run " + at(run) + " " + more;
  }
  static std::string ranks(int count) {
    return MOTLEY_MPIEXEC " -n " + std::to_string(count) + " ";
  }
  /// The run has come to the bits of the one on one rank.
  static void expect_same_bits(const std::string& run) {
    EXPECT_EQ(losses(at(run), "step"), losses(at("alone"), "step")) << run;
    for (const std::string file :
         {"/ckpt/000000020/model.safetensors", "/ckpt/000000020/optim.safetensors"})
      EXPECT_EQ(hash_of_file(at(run) + file), hash_of_file(at("alone") + file)) << run << file;
  }

  static ScratchDirectory* scratch_;
};
ScratchDirectory* Ranks::scratch_ = nullptr;

/// On ever other numbers of ranks, whose leaves are planned anew after every step.
TEST_F(Ranks, GoOnWithAnotherNumberToTheSameBits) {
  const std::string on = "--train.resume --train.allow_change train.steps --replan-every 1 ";
  expect_ok(ranks(2) + train("more", "--train.steps 5 --replan-every 1"));
  expect_ok(train("more", on + "--train.steps 10 --simulate-ranks 3"));
  expect_ok(ranks(3) + train("more", on + "--train.steps 15"));
  expect_ok(train("more", on + "--train.steps 20 --simulate-ranks 5"));
  expect_same_bits("more");
}

/// With gradients that only their owners keep, also from a checkpoint of ranks that keep all.
TEST_F(Ranks, ComeToTheSameBitsWithShardedGradients) {
  const std::string on = "--train.resume --train.allow_change train.steps --replan-every 1 ";
  expect_ok(ranks(3) + train("zero2", "--train.steps 8 --zero 2 --replan-every 1"));
  expect_ok(ranks(2) + train("zero2", on + "--train.steps 14 --zero 1"));
  expect_ok(ranks(4) + train("zero2", on + "--train.steps 20 --zero 2"));
  expect_same_bits("zero2");
  expect_ok(train("zero2_simulated", "--train.steps 20 --simulate-ranks 3 --zero 2"));
  expect_same_bits("zero2_simulated");
}

TEST_F(Ranks, AreSimulatedToTheSameBits) {
  for (const std::string simulated : {"1", "2", "3"}) {
    const std::string name = "simulated" + simulated;
    const Outcome outcome =
        test::run_command(train(name, "--train.steps 20 --simulate-ranks " + simulated));
    ASSERT_EQ(outcome.exit_code, 0) << outcome.text;
    expect_same_bits(name);
    // The console shows what rank 0 says, once. The setting is not one of the run's.
    EXPECT_EQ(count_of(outcome.text, "\nworld   " + simulated + " rank"), 1u) << outcome.text;
    EXPECT_EQ(count_of(outcome.text, "\nstop "), 1u) << outcome.text;
    EXPECT_EQ(io::read_text(at(name + "/config.toml")).find("simulate_ranks"), std::string::npos);
  }
}

/// Where the device could work in the memory that ranks share and does not.
TEST_F(Ranks, CopyToTheSameBitsWhenTold) {
  const Outcome outcome =
      test::run_command(ranks(2) + train("copied", "--train.steps 20 --dist.no-zero_copy"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.text;
  expect_same_bits("copied");
  EXPECT_EQ(count_of(outcome.text, ", copied)"), 2u) << outcome.text;
}

/// Twelve leaves a step on three ranks, one of which becomes three times as slow in step 21.
TEST_F(Ranks, ArePlannedAroundWhenOneSlowsDown) {
  const std::string settings = "--train.steps 80 --train.global_batch 768 ";
  expect_ok(train("steady", settings));
  expect_ok(ranks(3) + train("slowed", settings + "--inject 1:21:slow=3x"));
  // The plan that holds fifty steps later: of equal ranks each would have four leaves, at this
  // speed five, two and five.
  const std::vector<nlohmann::json> plans = plans_until(at("slowed"), 71);
  ASSERT_FALSE(plans.empty());
  EXPECT_LT(plans.back()["leaves"][1], 4) << plans.back();
  for (const char* file :
       {"/ckpt/000000080/model.safetensors", "/ckpt/000000080/optim.safetensors"})
    EXPECT_EQ(hash_of_file(at("slowed") + file), hash_of_file(at("steady") + file)) << file;
}

/// Of what a trace has spans, of one category.
std::set<std::string> names_in_trace(const io::Path& file, const std::string& category) {
  std::set<std::string> names;
  const auto document = nlohmann::json::parse(io::read_text(file));
  for (const auto& event : document.at("traceEvents")) {
    if (event.value("cat", "") == category) names.insert(event.at("name"));
  }
  return names;
}

TEST_F(Ranks, WriteWhatTheyRanInSomeSteps) {
  const Outcome outcome =
      test::run_command(ranks(2) + train("profiled", "--train.steps 20 --profile steps=3-4"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.text;
  expect_same_bits("profiled");
  expect_mentions(outcome.text, "profile  2 steps of ");
  expect_mentions(outcome.text, "profiled/profile/rank0.json");
  for (const std::string rank : {"0", "1"}) {
    const io::Path file = at("profiled/profile/rank" + rank + ".json");
    const auto phases = names_in_trace(file, "phase");
    for (const char* phase : {"compute 3", "update 3", "compute 4", "update 4"})
      EXPECT_EQ(phases.count(phase), 1u) << file << ' ' << phase;
    EXPECT_EQ(phases.count("compute 2") + phases.count("compute 5"), 0u) << file;
    EXPECT_EQ(names_in_trace(file, "device").count("attention_fwd_cpu"), 1u) << file;
    EXPECT_GE(names_in_trace(file, "communication").size(), 2u) << file;
  }
}

TEST_F(Ranks, AreWarnedOfWhenThereAreTooFewLeaves) {
  const Outcome outcome = test::run_command(
      train("idle", "--train.steps 30 --train.global_batch 128 --simulate-ranks 3"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.text;
  expect_mentions(outcome.text, "2 leaves for 3 ranks");
  expect_ok(train("busy", "--train.steps 30 --train.global_batch 128"));
  EXPECT_EQ(hash_of_file(at("idle") + "/ckpt/000000030/model.safetensors"),
            hash_of_file(at("busy") + "/ckpt/000000030/model.safetensors"));
}

TEST_F(Ranks, EndWithOneMessageWhenSimulated) {
  const Outcome outcome = test::run_command(
      train("nowhere", "--train.steps 2 --simulate-ranks 3 --data.path " + at("no-data")));
  EXPECT_EQ(outcome.exit_code, 4) << outcome.text;
  EXPECT_EQ(count_of(outcome.text, "error["), 1u) << outcome.text;
}

TEST_F(Ranks, AreNotSimulatedUnderMpi) {
  const Outcome outcome =
      test::run_command(ranks(2) + train("both", "--train.steps 2 --simulate-ranks 2"));
  EXPECT_EQ(outcome.exit_code, 2) << outcome.text;
  EXPECT_EQ(count_of(outcome.text, "error["), 1u) << outcome.text;
  expect_mentions(outcome.text, "leave mpirun");
}

TEST_F(Ranks, StopTogetherWhenSimulated) {
  const std::string command =
      train("stopped", "--train.minutes 5 --train.log_every 0 --simulate-ranks 3");
  // The signal comes once a step has been reported.
  const Outcome outcome = test::run_command(
      "sh -c '" + command + " > " + at("out") + " 2>&1 & pid=$!; while ! grep -q \"^step\" " +
      at("out") + "; do kill -0 $pid || exit 1; done; kill -USR2 $pid; wait $pid'");
  EXPECT_EQ(outcome.exit_code, 75) << io::read_text(at("out"));
  expect_ok(MOTLEY_PROGRAM " ckpt list " + at("stopped"));
}

}  // namespace
}  // namespace motley
