// What a job of three ranks says and how it ends when something goes wrong on one of them:
// --inject, as a user would type it.
#include <gtest/gtest.h>

#include <regex>
#include <string>

#include "tensor/io.h"
#include "tests/launch/outcome.h"
#include "tests/scratch_directory.h"

namespace motley {
namespace {

using test::count_of;
using test::Outcome;

class Inject : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    scratch_ = new ScratchDirectory;
    const std::string text = "/usr/share/common-licenses/GPL-3";
    const std::string program = MOTLEY_PROGRAM " ";
    const Outcome made =
        test::run_command(program + "tokenizer train --vocab 300 -o " + at("tok.json") + " " +
                          text + " && " + program + "data prepare --tokenizer " + at("tok.json") +
                          " --val 10% -o " + at("data") + " " + text);
    ASSERT_EQ(made.exit_code, 0) << made.text;
  }
  static void TearDownTestSuite() { delete scratch_; }

  static std::string at(const std::string& name) { return (*scratch_ / name).string(); }

  /// Ten steps of a small model on three ranks, two leaves each; a step may take 6 s.
  static Outcome train(const std::string& run, const std::string& faults,
                       const std::string& more = "",
                       const std::string& launcher = MOTLEY_MPIEXEC " -n 3 ") {
    return test::run_command(
        launcher +
        MOTLEY_PROGRAM
        " train --model.layers 2 --model.width 32 --model.heads 2 --model.kv_heads 2"
        " --model.mlp_width 64 --model.context 16 --train.micro_batch 2 --train.global_batch 192"
        " --train.steps 10 --train.log_every 0 --dist.step_timeout 6 --data.path " +
        at("data") + " --train.run " + at(run) + " --inject " + faults + " " + more);
  }

  static std::string file(const std::string& name) { return io::read_text(*scratch_ / name); }

  static ScratchDirectory* scratch_;
};
ScratchDirectory* Inject::scratch_ = nullptr;

void expect_match(const Outcome& outcome, const std::string& pattern) {
  EXPECT_TRUE(std::regex_search(outcome.text, std::regex(pattern)))
      << "/" << pattern << "/ is not in\n"
      << outcome.text;
}

TEST_F(Inject, KillEndsTheJobAndMpirunNamesTheRank) {
  const Outcome outcome = train("kill", "1:4:kill");
  EXPECT_EQ(outcome.exit_code, 137) << outcome.text;
  expect_match(outcome, "rank 1 with PID [0-9]+ on node [^ ]+ exited on signal 9");
  EXPECT_EQ(count_of(outcome.text, "error["), 0u) << "nothing of ours contradicts it\n"
                                                  << outcome.text;
}

TEST_F(Inject, StopIsNoticedAndTheRankNamed) {
  const Outcome outcome = train("stop", "2:4:stop");
  EXPECT_EQ(outcome.exit_code, 8) << outcome.text;
  EXPECT_EQ(count_of(outcome.text, "error["), 1u) << outcome.text;
  expect_match(outcome,
               "error\\[comm.stalled\\]  rank 2 on [^ ]+ \\([^;]+\\) has not been heard of for "
               "[0-9]+ s; last seen in [^;]+; 2 ranks wait for it in ");
  // Who could be reached has written down what it was doing.
  for (const char* rank : {"0", "1"}) {
    const std::string dump = file(std::string("stop/log/stall-4/rank") + rank + ".txt");
    EXPECT_NE(dump.find("under way"), std::string::npos) << dump;
    EXPECT_NE(dump.find("step 4 compute"), std::string::npos) << dump;
  }
  EXPECT_NE(file("stop/log/rank0.log").find("error[comm.stalled]  rank 2"), std::string::npos);
}

TEST_F(Inject, StopOfRankZeroIsNoticedByTheOthers) {
  const Outcome outcome = train("stop0", "0:4:stop");
  EXPECT_EQ(outcome.exit_code, 8) << outcome.text;
  expect_match(outcome, "error\\[comm.stalled\\]  rank 0 on [^ ]+ \\([^;]+\\) has not been heard");
}

TEST_F(Inject, DropLinkIsNoticedAndTheRankNamed) {
  const Outcome outcome = train("drop", "1:4:drop-link");
  EXPECT_EQ(outcome.exit_code, 8) << outcome.text;
  expect_match(outcome,
               "error\\[comm.stalled\\]  rank 1 on [^ ]+ \\([^;]+\\) has not been heard of for ");
}

TEST_F(Inject, DropLinkOfASimulatedRankEndsTheProcess) {
  const Outcome outcome = train("threads", "1:4:drop-link", "--simulate-ranks 3", "");
  EXPECT_EQ(outcome.exit_code, 8) << outcome.text;
  expect_match(outcome,
               "error\\[comm.stalled\\]  rank [012] on [^;]+ without progress for [0-9]+ s "
               "in step 4, ");
}

TEST_F(Inject, NanSkipsTheStepAndNamesRankAndBucket) {
  const Outcome outcome = train("nan", "1:4:nan");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.text;
  expect_match(outcome,
               "step 4: [0-9]+ gradient values are not finite, first in bucket 0 of rank 1; the "
               "step changed nothing, 1 of 2 allowed in a row");
  EXPECT_EQ(count_of(outcome.text, "step 5: "), 0u) << outcome.text;
}

TEST_F(Inject, NanThreeTimesInARowEndsTheRun) {
  const Outcome outcome = train("nans", "1:4:nan,2:5:nan,1:6:nan");
  EXPECT_EQ(outcome.exit_code, 6) << outcome.text;
  EXPECT_EQ(count_of(outcome.text, "error["), 1u) << outcome.text;
  expect_match(outcome, "error\\[numeric.gradient\\].*bucket 0 of rank 1; 3 such steps in a row");
}

/// In f16 a step that overflows is no fault, until there is no scale left.
TEST_F(Inject, NanAtTheSmallestLossScaleEndsARunInF16) {
  const std::string in_f16 = "--model.dtype f16 --optim.loss_scale ";
  const Outcome finds = train("f16", "1:4:nan,2:5:nan,1:6:nan", in_f16 + "64");
  EXPECT_EQ(finds.exit_code, 0) << finds.text;
  expect_match(finds,
               "step 6: gradients overflow at a loss scale of 16; the step changed nothing, "
               "the next has 8");
  expect_match(finds, "step +10/10 .* scale 8 \\(3 steps skipped\\)");
  const Outcome ends = train("f16-ends", "1:4:nan", in_f16 + "1");
  EXPECT_EQ(ends.exit_code, 6) << ends.text;
  EXPECT_EQ(count_of(ends.text, "error["), 1u) << ends.text;
  expect_match(ends,
               "error\\[numeric.loss-scale\\]  step 4: gradients are not finite even with a "
               "loss scale of 1:");
}

TEST_F(Inject, SlowFinishes) {
  const Outcome outcome = train("slow", "1:2:slow=3x");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.text;
  expect_match(outcome, "injected at step 2: slow=3x");
  EXPECT_TRUE(io::exists(at("slow/ckpt/000000010")));
}

TEST_F(Inject, FlipBitIsFoundBeforeItIsSaved) {
  const Outcome outcome =
      train("flip", "1:4:flip-bit", "--train.save_every 4 --dist.check_every 0");
  EXPECT_EQ(outcome.exit_code, 6) << outcome.text;
  EXPECT_EQ(count_of(outcome.text, "error["), 1u) << outcome.text;
  expect_match(outcome,
               "error\\[numeric.replicas\\].*after step 4 the parameters of rank 1 on [^ ]+ "
               "\\(bucket 0\\) differ");
  EXPECT_FALSE(io::exists(at("flip/ckpt/000000004")));
}

TEST_F(Inject, FlipBitIsFoundWhenParametersAreCompared) {
  const Outcome outcome = train("check", "2:6:flip-bit", "--dist.check_every 3");
  EXPECT_EQ(outcome.exit_code, 6) << outcome.text;
  expect_match(outcome, "after step 6 the parameters of rank 2 on ");
}

TEST_F(Inject, RefusesARankThatIsNotThere) {
  const Outcome outcome = train("none", "3:4:kill");
  EXPECT_EQ(outcome.exit_code, 2) << outcome.text;
  EXPECT_EQ(count_of(outcome.text, "error["), 1u) << outcome.text;
  expect_match(outcome, "names rank 3");
  EXPECT_FALSE(io::exists(at("none")));
}

}  // namespace
}  // namespace motley
