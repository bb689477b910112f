// The settings of section dist and what they do to runs of the built program on several ranks.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tensor/hash.h"
#include "tests/launch/program_runs.h"
#include "tests/scratch_directory.h"

namespace motley {
namespace {

using test::expect_ok;
using test::losses;
using test::Outcome;
using test::run_command;

const std::string program = MOTLEY_PROGRAM;

class DistSettings : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    scratch_ = new ScratchDirectory;
    test::make_data(program, scratch_->path(), 300);
    expect_ok(train("alone"));
  }
  static void TearDownTestSuite() { delete scratch_; }

  static std::string at(const std::string& name) { return (*scratch_ / name).string(); }
  /// Ten steps of a small Llama, eight leaves of two sequences of 16 tokens each.
  static std::string train(const std::string& run, const std::string& more = "",
                           const std::string& steps = "10") {
    return program +
           " train --model.layers 2 --model.width 32 --model.heads 2 --model.kv_heads 2"
           " --model.mlp_width 64 --model.context 16 --train.micro_batch 2"
           " --train.global_batch 256 --optim.lr 1e-2 --optim.schedule constant --train.steps " +
           steps + " --data.path " + at("data") + " --train.run " + at(run) + " " + more;
  }
  static std::string ranks(int count) {
    return MOTLEY_MPIEXEC " -n " + std::to_string(count) + " ";
  }
  static std::string bits_of(const std::string& run) {
    return hash_of_file(at(run) + "/ckpt/000000010/model.safetensors");
  }
  /// The run has other bits than the one on one rank, and nearly its losses.
  static void expect_nearly_alone(const std::string& run) {
    EXPECT_NE(bits_of(run), bits_of("alone")) << "the setting does nothing";
    const std::vector<double> mine = losses(at(run), "step");
    const std::vector<double> alone = losses(at("alone"), "step");
    ASSERT_EQ(mine.size(), alone.size());
    for (std::size_t i = 0; i < mine.size(); ++i) EXPECT_NEAR(mine[i], alone[i], 5e-3 * alone[i]);
  }

  static ScratchDirectory* scratch_;
};
ScratchDirectory* DistSettings::scratch_ = nullptr;

/// Three ranks have three, three and two leaves: sums that are no nodes of the tree.
TEST_F(DistSettings, ExactOffAddsInAnotherOrder) {
  expect_ok(ranks(3) + train("inexact", "--no-exact --replan-every 0"));
  expect_nearly_alone("inexact");
  expect_ok(ranks(3) + train("exact", "--replan-every 0"));
  EXPECT_EQ(bits_of("exact"), bits_of("alone"));
}

TEST_F(DistSettings, SharedMemoryOffSendsMessagesToTheSameBits) {
  const Outcome outcome =
      run_command(ranks(2) + train("messages", "--dist.no-shared_memory --dist.check_every 1"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.text;
  EXPECT_EQ(bits_of("messages"), bits_of("alone"));
}

/// It is for what goes between hosts; without shared memory, every rank is one.
TEST_F(DistSettings, Bf16WireRoundsWhatIsSent) {
  expect_ok(ranks(2) + train("shared", "--dist.wire bf16"));
  EXPECT_EQ(bits_of("shared"), bits_of("alone"));
  expect_ok(ranks(2) +
            train("sent", "--dist.wire bf16 --dist.no-shared_memory --dist.check_every 1"));
  expect_nearly_alone("sent");
}

/// Rank 1 becomes so slow that the two others do all eight leaves while it does one.
TEST_F(DistSettings, ARankThatIsTooSlowToHelpIsNamed) {
  const Outcome outcome = run_command(
      ranks(3) + train("slow", "--inject 1:5:slow=30x --replan-every 2 --train.log_every 0", "40"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.text;
  expect_mentions(outcome.text, "rank 1 (");
  expect_mentions(outcome.text, " is too slow to help: a leaf takes ");
  expect_mentions(outcome.text, "larger steps (train.global_batch)");
}

TEST_F(DistSettings, ShareDeviceLetsTwoRanksHaveOneGpu) {
  const Outcome shown = run_command(program + " devices --json");
  ASSERT_EQ(shown.exit_code, 0) << shown.text;
  const auto devices = nlohmann::json::parse(shown.text);
  const bool has_gpu = std::any_of(devices.begin(), devices.end(),
                                   [](const auto& device) { return device["kind"] == "gpu"; });
  if (!has_gpu) GTEST_SKIP() << "this host has no GPU, and CPUs are shared without being asked";
  // GPUs come first.
  const std::string both = "--device.use index:0,index:0 ";
  const Outcome refused = run_command(ranks(2) + train("refused", both));
  EXPECT_EQ(refused.exit_code, 3) << refused.text;
  expect_mentions(refused.text, "error[device.shared]");
  expect_ok(ranks(2) + train("two", both + "--share-device"));
}

}  // namespace
}  // namespace motley
