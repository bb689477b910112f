// The built program on two OpenCL platforms of one machine: PoCL and Oclgrind, shown side by side
// by OCL_ICD_VENDORS.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/launch/program_runs.h"
#include "tests/scratch_directory.h"

namespace motley {
namespace {

using test::expect_ok;
using test::Outcome;
using test::run_command;

const std::string program = MOTLEY_PROGRAM " ";

class MixedJob : public testing::Test {
 protected:
  std::string at(const std::string& name) const { return (scratch_ / name).string(); }

  /// As small as it gets: Oclgrind interprets every instruction.
  std::string train(const std::string& run, const std::string& more) const {
    return program +
           "train --model.layers 1 --model.width 16 --model.heads 2 --model.kv_heads 1"
           " --model.mlp_width 32 --model.context 8 --train.micro_batch 1 --train.global_batch 32"
           " --train.steps 3 --train.log_every 0 --optim.lr 1e-2 --optim.schedule constant"
           " --data.path " +
           at("data") + " --train.run " + at(run) + " " + more;
  }

  ScratchDirectory scratch_;
};

TEST_F(MixedJob, DevicesShowsEveryPlatformOnce) {
  const Outcome outcome = run_command(program + "devices --json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.text;
  std::vector<std::string> platforms;
  for (const auto& device : nlohmann::json::parse(outcome.text))
    platforms.push_back(device["platform"]);
  std::sort(platforms.begin(), platforms.end());
  EXPECT_EQ(platforms, (std::vector<std::string>{"Oclgrind", "Portable Computing Language"}));
}

TEST_F(MixedJob, TrainsAsOnePlatformDoes) {
  test::make_data(MOTLEY_PROGRAM, scratch_.path(), 300);
  const Outcome outcome =
      run_command(MOTLEY_MPIEXEC " -n 2 " +
                  train("both", "--device.use name:pthread,name:oclgrind --dist.check_every 1"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.text;
  expect_mentions(outcome.text, "world   2 ranks on 1 host");
  expect_mentions(outcome.text, "Oclgrind Simulator (cpu)");
  expect_mentions(outcome.text, "pthread");

  expect_ok(train("one", "--device.use name:pthread"));
  const std::vector<double> both = test::losses(at("both"), "step");
  const std::vector<double> one = test::losses(at("one"), "step");
  ASSERT_EQ(both.size(), one.size());
  // The platforms' exponentials and logarithms round differently; training spreads that a little.
  for (std::size_t i = 0; i < one.size(); ++i) EXPECT_NEAR(both[i], one[i], 1e-4 * one[i]);
}

}  // namespace
}  // namespace motley
