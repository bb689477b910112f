// Training over several hosts gives the bits that one process gives, whatever the links.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "tensor/hash.h"
#include "tests/cluster/background_job.h"
#include "tests/cluster/cluster_run.h"

namespace motley {
namespace {

using test::BackgroundJob;
using test::expect_ok;

class MultiHostTraining : public test::ClusterRun {
 protected:
  /// `steps` is less than 100.
  std::string limit(int steps) const { return "--train.steps " + std::to_string(steps); }

  void expect_the_bits_of_one_process(const std::string& run, int steps) {
    expect_ok(train("alone", limit(steps)));
    EXPECT_EQ(test::losses(at(run), "step"), test::losses(at("alone"), "step"));
    const std::string checkpoint = "/ckpt/0000000" + std::to_string(steps) + "/";
    for (const std::string file : {"model.safetensors", "optim.safetensors"}) {
      const std::string path = checkpoint + file;
      EXPECT_EQ(hash_of_file(at(run + path)), hash_of_file(at("alone" + path))) << file;
    }
  }
};

/// Run on clusters of several shapes; MOTLEY_WORLD is how the start-up table must call it.
TEST_F(MultiHostTraining, GivesTheBitsOfOneProcess) {
  const char* world = std::getenv("MOTLEY_WORLD");
  ASSERT_NE(world, nullptr);
  const test::Outcome outcome = test::run_command("mpirun " + train("job", limit(10)));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.text;
  expect_mentions(outcome.text, std::string("world   ") + world);
  // Every rank's device knows how many of its host's cores it has.
  EXPECT_EQ(outcome.text.find("threads wait for each other"), std::string::npos) << outcome.text;
  expect_the_bits_of_one_process("job", 10);
}

/// The script that users start such a job with, in an environment that knows nothing of the test
/// bed but its ssh. It takes the program from PATH where the repository has none built.
TEST_F(MultiHostTraining, IsStartedByTheScriptForSsh) {
  expect_ok("cp -r " MOTLEY_LAUNCH " " + at("launch"));
  const io::Path directory = io::Path(MOTLEY_PROGRAM).parent_path();
  const test::Outcome outcome = test::run_command(
      "env -i HOME=\"$HOME\" TMPDIR=\"$TMPDIR\" PATH=" + directory.string() +
      ":\"$PATH\" OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 " +
      at("launch/ssh.sh") + " /run/testbed/hostfile " + train_arguments("job", limit(10)));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.text;
  expect_mentions(outcome.text, "3 ranks on 3 hosts over 10.77.0.0/24");
  expect_mentions(outcome.text, "world   3 ranks on 3 hosts");
  expect_the_bits_of_one_process("job", 10);
}

/// 240 kB of gradients and as much of parameters take 0.4 s and more over 10 Mbit/s.
TEST_F(MultiHostTraining, SurvivesALinkThatBecomesSlow) {
  BackgroundJob job("mpirun " + train("job", limit(16)), at("output"));
  ASSERT_TRUE(job.prints("step      4/16")) << job.output();
  expect_ok("link.sh n2 10mbit");
  ASSERT_EQ(job.wait(), 0) << job.output();
  // The limit was reached: packets had to wait for it.
  const test::Outcome queue = test::run_command("on.sh n2 tc -s -j qdisc show dev eth0");
  const auto statistics = nlohmann::json::parse(queue.text);
  EXPECT_EQ(statistics.at(0).at("kind"), "tbf");
  EXPECT_GT(statistics.at(0).at("overlimits"), 0) << queue.text;
  expect_the_bits_of_one_process("job", 16);
}

}  // namespace
}  // namespace motley
