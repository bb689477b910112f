// motley doctor as a user runs it: alone, as JSON, with broken drivers, and under mpirun.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "tests/launch/outcome.h"
#include "tests/scratch_directory.h"

namespace motley {
namespace {

using nlohmann::json;
using test::Outcome;
using test::run_command;

const std::string program = MOTLEY_PROGRAM;

/// The checks of a name.
std::vector<json> checks(const json& report, const std::string& name) {
  std::vector<json> found;
  for (const json& check : report.at("checks")) {
    if (check.at("name") == name) found.push_back(check);
  }
  return found;
}

TEST(Doctor, HasALineForEachCheck) {
  const ScratchDirectory scratch;
  const Outcome outcome = run_command(program + " doctor --run " + scratch.path().string());
  EXPECT_EQ(outcome.exit_code, 0) << outcome.text;
  EXPECT_EQ(outcome.text.find("FAIL"), std::string::npos) << outcome.text;
  for (const char* name :
       {"system", "processor", "memory", "limits", "disk", "opencl loader", "kernel cache",
        "device index:0", "placement", "program", "mpi", "speed"})
    expect_mentions(outcome.text, std::string("  ") + name + " ");
  expect_mentions(outcome.text, scratch.path().string());
}

TEST(Doctor, SpeaksJson) {
  const Outcome outcome = run_command(program + " doctor --json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.text;
  const json report = json::parse(outcome.text);
  EXPECT_EQ(report.at("ranks"), 1);
  EXPECT_NE(report.at("verdict"), "FAIL");
  for (const json& check : report.at("checks")) {
    EXPECT_FALSE(check.at("name").get<std::string>().empty());
    EXPECT_EQ(check.at("fix").get<std::string>().empty(), check.at("verdict") == "ok") << check;
  }
  const auto device = checks(report, "device index:0");
  ASSERT_EQ(device.size(), 1u);
  expect_mentions(device[0].at("value"), "a kernel was right");
}

TEST(Doctor, FailsForDriversThatDoNotLoad) {
  const ScratchDirectory vendors;
  vendors.write("broken.icd", "/nowhere/libbroken.so\n");
  const std::string environment = "OCL_ICD_VENDORS=" + vendors.path().string() + " ";
  const Outcome text = run_command(environment + program + " doctor");
  EXPECT_EQ(text.exit_code, 3) << text.text;
  expect_mentions(text.text, "FAIL  driver broken.icd");
  expect_mentions(text.text, " -> ");

  const Outcome outcome = run_command(environment + program + " doctor --json");
  EXPECT_EQ(outcome.exit_code, 3) << outcome.text;
  const json report = json::parse(outcome.text);
  EXPECT_EQ(report.at("verdict"), "FAIL");
  ASSERT_EQ(checks(report, "device").size(), 1u);
  EXPECT_EQ(checks(report, "device")[0].at("verdict"), "FAIL");
}

TEST(Doctor, FailsWhereNothingCanBeWritten) {
  const Outcome outcome = run_command(program + " doctor --run /proc/self");
  EXPECT_EQ(outcome.exit_code, 3) << outcome.text;
  expect_mentions(outcome.text, "FAIL  disk");
}

TEST(Doctor, FailsForADeviceThatIsNotThere) {
  const Outcome outcome = run_command(program + " doctor --device name:no-such-device");
  EXPECT_EQ(outcome.exit_code, 3) << outcome.text;
  expect_mentions(outcome.text, "no device of this host is 'name:no-such-device'");
}

const std::string mpirun = MOTLEY_MPIEXEC " --bind-to none ";

TEST(DoctorUnderMpirun, LooksAtWhatRanksShare) {
  const ScratchDirectory scratch;
  // mpirun says on standard error that it passes a signal on.
  const Outcome outcome = run_command("(" + mpirun + "-n 2 " + program + " doctor --json --run " +
                                      scratch.path().string() + " 2>/dev/null)");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.text;
  const json report = json::parse(outcome.text);
  EXPECT_EQ(report.at("ranks"), 2);
  for (const char* name : {"program", "mpi", "hosts", "signals", "network", "sums", "clocks",
                           "shared directory", "latency", "split"}) {
    ASSERT_EQ(checks(report, name).size(), 1u) << name << outcome.text;
    EXPECT_EQ(checks(report, name)[0].at("verdict"), "ok") << outcome.text;
  }
  EXPECT_EQ(checks(report, "bandwidth").size(), 2u);
  EXPECT_EQ(checks(report, "system").size(), 1u) << "both ranks are on one host";
  expect_mentions(checks(report, "mpi")[0].at("value"), "mpirun");
  expect_mentions(checks(report, "signals")[0].at("value"), "passes SIGUSR2 on to every rank");
  expect_mentions(checks(report, "sums")[0].at("value"), "the sum took ");
  EXPECT_TRUE(scratch.contents().empty());
}

TEST(DoctorUnderMpirun, SendsNoSignalThroughAShell) {
  const Outcome outcome = run_command(mpirun + "-n 2 sh -c '" + program + " doctor; exit $?'");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.text;
  expect_mentions(outcome.text, "not tried, as sh started the ranks");
}

TEST(DoctorUnderMpirun, FindsOtherSettings) {
  const ScratchDirectory scratch;
  const std::string one = scratch.write("one.toml", "[train]\nsteps = 1\n").string();
  const std::string two = scratch.write("two.toml", "[train]\nsteps = 2\n").string();
  const Outcome outcome = run_command(mpirun + "-n 1 " + program + " doctor " + one + " : -n 1 " +
                                      program + " doctor " + two);
  EXPECT_EQ(outcome.exit_code, 3) << outcome.text;
  expect_mentions(outcome.text, "FAIL  settings");
  expect_mentions(outcome.text, "rank 1 has another");
}

TEST(DoctorUnderMpirun, FindsAnotherBuild) {
  const ScratchDirectory scratch;
  const std::string other = (scratch / "motley").string();
  std::filesystem::copy_file(program, other);
  io::File::append(other).write(std::string_view("x"));
  const Outcome outcome =
      run_command(mpirun + "-n 1 " + program + " doctor : -n 1 " + other + " doctor");
  EXPECT_EQ(outcome.exit_code, 3) << outcome.text;
  expect_mentions(outcome.text, "FAIL  program");
  expect_mentions(outcome.text, "rank 1");
}

TEST(DoctorUnderMpirun, RefusesACpuThatIsBoundToOneOfManyCores) {
  if (std::thread::hardware_concurrency() < 2) GTEST_SKIP() << "this host has one core";
  const Outcome outcome =
      run_command(MOTLEY_MPIEXEC " --bind-to core -n 1 " + program + " doctor --device cpu");
  EXPECT_EQ(outcome.exit_code, 3) << outcome.text;
  expect_mentions(outcome.text, "FAIL  placement");
  expect_mentions(outcome.text, "--bind-to none");
}

}  // namespace
}  // namespace motley
