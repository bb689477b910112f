// What a job refuses before its first step, each time with one message and one exit code however
// many ranks it has: a directory in use, data that are not the same or not whole, wrong arguments.
// And that it can be stopped from its first moment on.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tensor/file_lock.h"
#include "tensor/hash.h"
#include "tensor/io.h"
#include "tests/launch/program_runs.h"
#include "tests/scratch_directory.h"

namespace motley {
namespace {

using test::count_of;
using test::expect_ok;
using test::Outcome;
using test::run_command;

void expect_one_error(const Outcome& outcome, int exit_code, const std::string& code) {
  EXPECT_EQ(outcome.exit_code, exit_code) << outcome.text;
  EXPECT_EQ(count_of(outcome.text, "error["), 1u) << outcome.text;
  expect_mentions(outcome.text, "error[" + code + "]");
}

class Startup : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    scratch_ = new ScratchDirectory;
    test::make_data(MOTLEY_PROGRAM, scratch_->path(), 400);
    for (const char* folder : {"a", "b"}) {
      io::create_directories(at(folder));
      std::filesystem::copy(at("data"), at(std::string(folder) + "/data"));
    }
  }
  static void TearDownTestSuite() { delete scratch_; }

  static std::string at(const std::string& name) { return (*scratch_ / name).string(); }
  static std::string train(const std::string& run, const std::string& more) {
    return MOTLEY_PROGRAM
           " train --model.layers 2 --model.width 48 --model.heads 4 --model.kv_heads 2"
           " --model.mlp_width 96 --model.context 32 --train.micro_batch 2"
           " --train.global_batch 512 --optim.schedule constant --train.run " +
           at(run) + " " + more;
  }
  static std::string ranks(int count) {
    return MOTLEY_MPIEXEC " -n " + std::to_string(count) + " ";
  }
  /// Two ranks of which the first runs in a/ and the second in b/.
  static Outcome apart(const std::string& command) {
    return run_command(ranks(2) + "sh -c 'if [ \"$OMPI_COMM_WORLD_RANK\" = 1 ]; then cd " +
                       at("b") + "; else cd " + at("a") + "; fi; exec " + command + "'");
  }

  static ScratchDirectory* scratch_;
};
ScratchDirectory* Startup::scratch_ = nullptr;

TEST_F(Startup, RefusesADirectoryThatIsInUse) {
  io::create_directories(at("used"));
  const auto lock = io::FileLock::try_lock(at("used/lock"));
  ASSERT_TRUE(lock);
  for (const std::string more : {"", " --train.resume", " --train.overwrite"}) {
    const Outcome outcome =
        run_command(ranks(2) + train("used", "--train.steps 1 --data.path " + at("data") + more));
    expect_one_error(outcome, 2, "run.locked");
    expect_mentions(outcome.text, "is in use by process");
  }
  EXPECT_EQ(io::list(at("used")), std::vector<std::string>{"lock"});
}

TEST_F(Startup, RefusesATokenizerThatIsNotTheDatas) {
  const std::string tokenizer = at("b/data/tokenizer.json");
  const std::string kept = io::read_text(tokenizer);
  expect_ok(MOTLEY_PROGRAM " tokenizer train --vocab 400 --overwrite -o " + tokenizer +
            " /usr/share/common-licenses/Apache-2.0");
  const Outcome outcome = apart(train("other", "--train.steps 1 --data.path data"));
  expect_one_error(outcome, 4, "data.tokenizer");
  expect_mentions(outcome.text, "rank 1");
  EXPECT_FALSE(io::exists(at("other")));
  io::write_text_atomically(tokenizer, kept);
}

TEST_F(Startup, RefusesBareShardsThatDiffer) {
  std::string shard = io::read_text(at("data/train_000000.bin"));
  io::write_text_atomically(at("a/bare.bin"), shard);
  std::swap(shard[shard.size() - 2], shard[shard.size() - 4]);
  io::write_text_atomically(at("b/bare.bin"), shard);
  ASSERT_NE(hash_of_file(at("a/bare.bin")), hash_of_file(at("b/bare.bin")));
  const std::string command =
      train("bare", "--train.steps 1 --model.vocab 400 --data.path bare.bin");
  const Outcome outcome = apart(command);
  expect_one_error(outcome, 3, "rank.mismatch");
  expect_mentions(outcome.text, "the data set");
  std::filesystem::copy_file(at("a/bare.bin"), at("b/bare.bin"),
                             std::filesystem::copy_options::overwrite_existing);
  const Outcome same = apart(command);
  EXPECT_EQ(same.exit_code, 0) << same.text;
}

TEST_F(Startup, SaysOnceWhatIsWrongWithTheArguments) {
  const std::string program = MOTLEY_PROGRAM;
  expect_one_error(run_command(ranks(3) + program + " trian"), 2, "usage.unknown-command");
  expect_one_error(run_command(ranks(3) + program + " eval --bad"), 2, "usage.unknown-option");
  const Outcome prepare =
      run_command(ranks(3) + program + " data prepare --tokenizer " + at("tok.json") + " -o " +
                  at("thrice") + " /usr/share/common-licenses/GPL-3");
  expect_one_error(prepare, 2, "usage.ranks");
  EXPECT_FALSE(io::exists(at("thrice")));
  // One rank of a launcher is like none.
  expect_ok(ranks(1) + program + " data inspect " + at("data"));
}

/// The other rank never comes to agree with it.
TEST_F(Startup, SpeaksOnARankThatIsAlone) {
  const Outcome outcome = run_command(
      ranks(2) + "sh -c 'if [ $OMPI_COMM_WORLD_RANK = 1 ]; then " MOTLEY_PROGRAM " trian; fi'");
  expect_one_error(outcome, 2, "usage.unknown-command");
}

TEST_F(Startup, SaysOnceThatAShardWasCutShort) {
  std::filesystem::copy(at("data"), at("cut"));
  const std::string command =
      train("short", "--train.minutes 5 --train.log_every 0 --data.path " + at("cut"));
  const Outcome outcome = run_command(
      "sh -c '" + ranks(3) + command + " > " + at("out") + " 2>&1 & pid=$!; while ! grep -q " +
      "\"^step\" " + at("out") + "; do kill -0 $pid || exit 1; done; truncate -s 2000 " +
      at("cut/train_000000.bin") + "; wait $pid'");
  const Outcome told{outcome.exit_code, io::read_text(at("out"))};
  expect_one_error(told, 3, "io.truncated");
  for (const char* part :
       {"rank ", ", reading the data: ", "train_000000.bin", "put the whole file"})
    expect_mentions(told.text, part);
}

/// The signal comes as soon as the process has a handler for it (bit 11 of SigCgt is SIGUSR2),
/// which is before it has opened anything.
TEST_F(Startup, CanBeStoppedFromTheFirstMomentOn) {
  const std::string common = " --train.steps 3 --data.path " + at("data");
  const Outcome outcome = run_command(
      "sh -c '" + train("stopped", common) + " > " + at("out") + " 2>&1 & pid=$!; while [ " +
      "$((0x$(sed -n s/SigCgt:.//p /proc/$pid/status) & 2048)) = 0 ]; do kill -0 $pid || " +
      "exit 1; done; kill -USR2 $pid; wait $pid'");
  const std::string text = io::read_text(at("out"));
  EXPECT_EQ(outcome.exit_code, 75) << outcome.text << text;
  expect_mentions(text, "go on with --train.resume");
  expect_ok(train("stopped", common + " --train.resume"));
  expect_ok(train("whole", common));
  EXPECT_EQ(hash_of_file(at("stopped/ckpt/000000003/optim.safetensors")),
            hash_of_file(at("whole/ckpt/000000003/optim.safetensors")));
}

}  // namespace
}  // namespace motley
