// Programs whose OpenCL driver hangs, or whose process is stopped, say so and end.
#include <gtest/gtest.h>

#include <string>

#include "tests/launch/program_runs.h"
#include "tests/scratch_directory.h"

namespace motley {
namespace {

using test::Outcome;
using test::run_command;

const std::string program = MOTLEY_PROGRAM;
const std::string mpirun = MOTLEY_MPIEXEC " --bind-to none ";

/// Has the program load the hanging driver alone, through an environment that `env` sets.
class HangingDriver : public testing::Test {
 protected:
  void SetUp() override { vendors_.write("hanging.icd", MOTLEY_HANGING_DRIVER "\n"); }
  std::string env(const std::string& more = "") const {
    return "env OCL_ICD_VENDORS=" + vendors_.path().string() + " " + more + " ";
  }
  ScratchDirectory vendors_;
};

TEST_F(HangingDriver, IsNamedByTheDoctor) {
  const Outcome outcome = run_command(env() + program + " doctor --timeout 4");
  EXPECT_EQ(outcome.exit_code, 8) << outcome.text;
  expect_mentions(outcome.text, "ok    system");  // what was found before is not lost
  expect_mentions(outcome.text, "checking 'driver hanging.icd' has taken");
  expect_mentions(outcome.text, "error[comm.stalled]  rank 0 on ");
}

TEST_F(HangingDriver, IsNamedByTheDoctorOfARankThatIsStopped) {
  const Outcome outcome =
      run_command(mpirun + "-n 1 " + program + " doctor --timeout 4 : -n 1 " +
                  env("MOTLEY_TEST_DRIVER=stop") + program + " doctor --timeout 4");
  EXPECT_EQ(outcome.exit_code, 8) << outcome.text;
  expect_mentions(outcome.text, "error[comm.stalled]  rank 1 on ");
}

TEST_F(HangingDriver, EndsEval) {
  const ScratchDirectory scratch;
  test::make_data(program, scratch.path(), 300);
  const std::string folder = scratch.path().string();
  test::expect_ok(program + " train --model.layers 1 --model.width 32 --model.heads 2" +
                  " --model.kv_heads 2 --model.mlp_width 32 --model.context 16 --train.steps 1" +
                  " --train.micro_batch 1 --data.path " + folder + "/data --train.run " + folder +
                  "/run");
  const Outcome outcome =
      run_command(env() + program + " eval --timeout 3 " + folder + "/run " + folder + "/data");
  EXPECT_EQ(outcome.exit_code, 8) << outcome.text;
  expect_mentions(outcome.text, "(device auto) is without progress");
  expect_mentions(outcome.text, "opening the device");
}

TEST_F(HangingDriver, EndsTraining) {
  const ScratchDirectory scratch;
  test::make_data(program, scratch.path(), 300);
  const std::string folder = scratch.path().string();
  for (const char* ranks : {"", " --simulate-ranks 2"}) {
    const Outcome outcome = run_command(
        env() + program + " train --dist.device_timeout 2 --train.steps 1 --data.path " + folder +
        "/data --train.run " + folder + "/run" + ranks);
    EXPECT_EQ(outcome.exit_code, 8) << outcome.text;
    expect_mentions(outcome.text, "error[comm.stalled]  rank 0 on ");
    expect_mentions(outcome.text, "opening the device");
  }
  const std::string dump = io::read_text(scratch / "run/log/stall-0/rank0.txt");
  expect_mentions(dump, "opening the device");
}

TEST_F(HangingDriver, IsWaitedForWithoutAWatchdog) {
  const ScratchDirectory scratch;
  test::make_data(program, scratch.path(), 300);
  const std::string folder = scratch.path().string();
  const Outcome outcome = run_command(
      env("timeout -s KILL 8") + program + " train --dist.no-watchdog --dist.device_timeout 2" +
      " --train.steps 1 --data.path " + folder + "/data --train.run " + folder + "/run");
  EXPECT_EQ(outcome.exit_code, 137) << outcome.text;
  EXPECT_EQ(outcome.text.find("error["), std::string::npos) << outcome.text;
}

}  // namespace
}  // namespace motley
