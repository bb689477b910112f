// Whole runs of the built program: from a text to a trained model and back, resumed, under mpirun,
// and refused.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
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

Outcome run(const std::string& command) {
  return test::run_command(command);
}

/// A data set of real text, the GPL that every Debian system has, made once for all tests here.
class Run : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    scratch_ = new ScratchDirectory;
    test::make_data(MOTLEY_PROGRAM, scratch_->path(), 400);
  }
  static void TearDownTestSuite() { delete scratch_; }

  static std::string program() { return MOTLEY_PROGRAM " "; }
  static std::string at(const std::string& name) { return (*scratch_ / name).string(); }
  /// A small Llama over T = 32, eight leaves of two sequences a step.
  static std::string train(const std::string& run, const std::string& more) {
    return program() +
           "train --model.layers 2 --model.width 48 --model.heads 4 --model.kv_heads 2" +
           " --model.mlp_width 96 --model.context 32 --train.micro_batch 2 --train.global_batch "
           "512" +
           " --optim.lr 1e-2 --optim.schedule constant --data.path " + at("data") +
           " --train.run " + at(run) + " " + more;
  }
  static std::string ranks(int count) {
    return MOTLEY_MPIEXEC " -n " + std::to_string(count) + " ";
  }

  static ScratchDirectory* scratch_;
};
ScratchDirectory* Run::scratch_ = nullptr;

TEST_F(Run, LearnsFromTextAndIsEvaluatedSampledAndConverted) {
  expect_ok(train(
      "learn",
      "--train.steps 150 --train.eval_every 50 --train.sample_every 50 --train.sample_prompt GNU"));
  // An untrained model has ln(400) = 6.0 nats; the frequencies of the tokens alone give about 5.3.
  const std::vector<double> trained = losses(at("learn"), "step");
  ASSERT_EQ(trained.size(), 150u);
  EXPECT_LT(trained.back(), 4.3);
  const std::vector<double> validated = losses(at("learn"), "eval");
  ASSERT_EQ(validated.size(), 3u);
  EXPECT_LT(validated.back(), 5.0);

  const Outcome eval = run(program() + "eval --json " + at("learn") + " " + at("data"));
  ASSERT_EQ(eval.exit_code, 0) << eval.text;
  EXPECT_NEAR(nlohmann::json::parse(eval.text)["loss"].get<double>(), validated.back(), 1e-5);
  const std::string sample =
      program() + "sample " + at("learn") + " --prompt 'The GNU' --tokens 20";
  const Outcome text = run(sample);
  ASSERT_EQ(text.exit_code, 0) << text.text;
  EXPECT_EQ(text.text.rfind("The GNU", 0), 0u);
  EXPECT_EQ(run(sample).text, text.text);
  // What a terminal would take for a command is shown: ESC, and CSI as one character of UTF-8.
  const Outcome shown =
      run(program() + "sample " + at("learn") + " --tokens 1 --prompt 'a\x1b[1m\xc2\x9b m'");
  EXPECT_EQ(shown.text.rfind("a\\x1b[1m\\x9b m", 0), 0u) << shown.text;
  const Outcome list = run(program() + "ckpt list --verify " + at("learn"));
  EXPECT_EQ(list.exit_code, 0);
  EXPECT_EQ(count_of(list.text, "verified"), 1u) << list.text;

  expect_ok(program() + "export --to hf " + at("learn") + " -o " + at("hf"));
  expect_ok(program() + "import --from hf " + at("hf") + " -o " + at("imported"));
  expect_ok(program() + "export --to hf " + at("imported") + " -o " + at("hf2"));
  EXPECT_EQ(hash_of_file(at("hf/model.safetensors")), hash_of_file(at("hf2/model.safetensors")));
  expect_ok(train("tuned", "--train.steps 1 --train.init_from " + at("hf")));
  // The first step's loss is that of the weights it started from.
  EXPECT_LT(losses(at("tuned"), "step").front(), 4.6);
}

TEST_F(Run, ResumesToTheSameBits) {
  expect_ok(train("whole", "--train.steps 6 --train.save_every 2 --train.keep 9"));
  // The same run as it was after step 2.
  std::filesystem::copy(at("whole"), at("parts"), std::filesystem::copy_options::recursive);
  for (const char* later : {"parts/ckpt/000000004", "parts/ckpt/000000006"})
    io::remove_all(at(later));
  expect_ok(program() + "train --resume --train.run " + at("parts"));
  EXPECT_EQ(losses(at("whole"), "step"), losses(at("parts"), "step"));
  for (const std::string file : {"model.safetensors", "optim.safetensors"}) {
    EXPECT_EQ(hash_of_file(at("whole/ckpt/000000006/" + file)),
              hash_of_file(at("parts/ckpt/000000006/" + file)));
  }
}

TEST_F(Run, LosesNoStepThatWasSavedWhenARankIsKilled) {
  const std::string settings = "--train.steps 6 --train.save_every 2 --train.keep 9 ";
  expect_ok(train("unbroken", settings));
  const Outcome killed = run(ranks(2) + train("killed", settings + "--inject 1:6:kill"));
  EXPECT_EQ(killed.exit_code, 137) << killed.text;
  EXPECT_EQ(io::list(at("killed/ckpt")), (std::vector<std::string>{"000000002", "000000004"}));
  expect_ok(ranks(3) + program() + "train --resume --train.run " + at("killed"));
  EXPECT_EQ(losses(at("unbroken"), "step"), losses(at("killed"), "step"));
  EXPECT_EQ(hash_of_file(at("unbroken/ckpt/000000006/model.safetensors")),
            hash_of_file(at("killed/ckpt/000000006/model.safetensors")));
}

/// The disk is full in the middle of a checkpoint, as far as the program can tell: its files may be
/// as large as the weights, not as the optimizer's state.
TEST_F(Run, OutlivesAFullDiskAndKeepsTheCheckpointsItHas) {
  const std::string steps = "--train.save_every 2 --train.keep 9 --train.steps ";
  expect_ok(train("room", steps + "6"));
  expect_ok(train("full", steps + "2"));
  const std::string resume = program() + "train --resume --train.run " + at("full") +
                             " --train.steps 6 --train.allow_change steps";
  const auto bytes = std::filesystem::file_size(at("full/ckpt/000000002/model.safetensors"));
  constexpr std::uintmax_t block = 512;  // the unit of a POSIX shell's ulimit
  const Outcome full =
      run("sh -c 'ulimit -f " + std::to_string(bytes / block + 16) + "; " + resume + "'");
  EXPECT_EQ(full.exit_code, 3) << full.text;
  expect_mentions(full.text, "000000004.tmp/optim.safetensors");
  expect_mentions(full.text,
                  "the newest checkpoint is that of step 2, and the next is due at step 6");
  EXPECT_EQ(count_of(full.text, "error["), 1u) << full.text;
  EXPECT_EQ(losses(at("full"), "step").size(), 6u);
  EXPECT_EQ(io::list(at("full/ckpt")), std::vector<std::string>{"000000002"});
  expect_ok(resume);
  EXPECT_EQ(losses(at("room"), "step"), losses(at("full"), "step"));
  EXPECT_EQ(hash_of_file(at("room/ckpt/000000006/model.safetensors")),
            hash_of_file(at("full/ckpt/000000006/model.safetensors")));
}

/// Where a lock of the first checkpoint would be is a directory.
TEST_F(Run, GoesOnOnAllRanksWhenASaveFails) {
  io::create_directories(at("blocked/ckpt/000000002.tmp.lock"));
  const Outcome outcome =
      run(ranks(2) + train("blocked", "--train.steps 4 --train.save_every 2 --train.keep 9"));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.text;
  EXPECT_EQ(count_of(outcome.text,
                     "the run goes on; there is no checkpoint yet, and the next is "
                     "due at step 4"),
            1u)
      << outcome.text;
  EXPECT_EQ(io::list(at("blocked/ckpt")), std::vector<std::string>{"000000004"});
  EXPECT_EQ(losses(at("blocked"), "step").size(), 4u);
}

/// The scale starts far too large: steps are skipped, also after the checkpoint that is resumed.
TEST_F(Run, InF16GivesTheSameBitsResumedAndOnTwoRanks) {
  const std::string settings =
      "--model.dtype f16 --optim.loss_scale 16777216 --train.steps 14 --train.save_every 4 "
      "--train.keep 9";
  expect_ok(train("f16", settings));
  expect_ok(ranks(2) + train("f16-of-two", settings));
  std::filesystem::copy(at("f16"), at("f16-parts"), std::filesystem::copy_options::recursive);
  for (const char* later :
       {"f16-parts/ckpt/000000008", "f16-parts/ckpt/000000012", "f16-parts/ckpt/000000014"})
    io::remove_all(at(later));
  expect_ok(program() + "train --resume --train.run " + at("f16-parts"));
  for (const char* other : {"f16-of-two", "f16-parts"}) {
    EXPECT_EQ(losses(at("f16"), "step"), losses(at(other), "step")) << other;
    for (const std::string file : {"model.safetensors", "optim.safetensors"}) {
      EXPECT_EQ(hash_of_file(at("f16/ckpt/000000014/" + file)),
                hash_of_file(at(std::string(other) + "/ckpt/000000014/" + file)))
          << other;
    }
  }
  const std::string metrics = io::read_text(at("f16/metrics.jsonl"));
  expect_mentions(metrics, "\"loss_scale\":16777216.0,\"skipped\":1,");
  EXPECT_EQ(losses(at("f16"), "step").size(), 14u);
  const auto state = nlohmann::json::parse(io::read_text(at("f16/ckpt/000000014/state.json")));
  const auto skipped = state["loss_scale"]["skipped"].get<int>();
  EXPECT_GT(skipped, 4) << "none after the checkpoint";
  EXPECT_LT(skipped, 14);
  EXPECT_EQ(state["loss_scale"]["scale"].get<float>(), std::ldexp(16777216.0f, -skipped));
  EXPECT_LT(losses(at("f16"), "step").back(), losses(at("f16"), "step").front());
}

TEST_F(Run, KeepsABatchThatWasLeftOpenOnAnotherNumberOfRanks) {
  const std::string open = " --train.global_batch 0 ";
  expect_ok(ranks(2) + train("open", open + "--train.steps 1"));
  const Outcome resumed = run(
      ranks(3) + train("open", open + "--train.steps 2 --train.resume --train.allow_change steps"));
  EXPECT_EQ(resumed.exit_code, 0) << resumed.text;
  expect_mentions(resumed.text, "a step is 2 leaves of 2 x 32 = 128 tokens");
  expect_mentions(io::read_text(at("open/config.toml")), "global_batch = 128");
}

TEST_F(Run, StopsEarlyWhenPatienceRunsOut) {
  // A learning rate of almost nothing: the second evaluation is not better by chance alone for
  // long.
  expect_ok(train("patient",
                  "--train.steps 50 --train.eval_every 1 --train.patience 2 --optim.lr 1e-30 "
                  "--optim.weight_decay 0"));
  EXPECT_LT(losses(at("patient"), "step").size(), 50u);
}

TEST_F(Run, RefusesARunThatIsThere) {
  expect_ok(train("there", "--train.steps 1"));
  const auto before = scratch_->contents();
  const Outcome outcome = run(train("there", "--train.steps 2"));
  EXPECT_EQ(outcome.exit_code, 2);
  expect_mentions(outcome.text, "--resume");
  EXPECT_EQ(scratch_->contents(), before);
  expect_ok(train("there", "--train.steps 2 --train.overwrite"));
}

TEST_F(Run, RefusesADamagedCheckpoint) {
  expect_ok(train("damaged", "--train.steps 1"));
  const io::Path file = at("damaged/ckpt/000000001/optim.safetensors");
  std::string bytes = io::read_text(file);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 4);
  io::write_text_atomically(file, bytes);
  const Outcome outcome =
      run(train("damaged", "--train.steps 2 --train.resume --train.allow_change train.steps"));
  EXPECT_EQ(outcome.exit_code, 5) << outcome.text;
  expect_mentions(outcome.text, "optim.safetensors");
  expect_mentions(outcome.text, "remove " + at("damaged/ckpt/000000001"));
  EXPECT_EQ(io::read_text(file), bytes);
}

/// Rank 1 runs in a directory of its own, where the relative path of the data leads nowhere.
TEST_F(Run, EndsAllRanksWithOneMessageWhenOneMissesItsData) {
  io::create_directories(at("empty"));
  const std::string in_place = "if [ \"$OMPI_COMM_WORLD_RANK\" = 1 ]; then cd " + at("empty") +
                               "; else cd " + scratch_->path().string() + "; fi; ";
  const std::string command = train("nodata", "--train.steps 2 --data.path data");
  const Outcome outcome = run(ranks(3) + "sh -c '" + in_place + command + "'");
  EXPECT_EQ(outcome.exit_code, 4) << outcome.text;
  EXPECT_EQ(count_of(outcome.text, "error["), 1u) << outcome.text;
  expect_mentions(outcome.text, "rank 1");
  EXPECT_FALSE(io::exists(at("nodata")));
}

TEST_F(Run, SavesAndTellsWhenAskedToStop) {
  const std::string command = train("stopped", "--train.minutes 5 --train.log_every 0");
  // The signal comes once a step has been reported.
  const Outcome outcome =
      run("sh -c '" + command + " > " + at("out") + " 2>&1 & pid=$!; while ! grep -q \"^step\" " +
          at("out") + "; do kill -0 $pid || exit 1; done; kill -USR2 $pid; wait $pid'");
  EXPECT_EQ(outcome.exit_code, 75) << io::read_text(at("out"));
  expect_ok(program() + "ckpt list " + at("stopped"));
}

}  // namespace
}  // namespace motley
