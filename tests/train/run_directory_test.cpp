#include "train/run_directory.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tensor/error.h"
#include "tests/scratch_directory.h"
#include "train/settings_toml.h"

namespace motley {
namespace {

class RunDirectoryTest : public testing::Test {
 protected:
  RunDirectoryTest() { settings_.train.run = root_.string(); }

  std::string error() const {
    try {
      run_.check(settings_);
    } catch (const ConfigError& e) {
      return "[" + e.code() + "] " + e.what();
    }
    return "";
  }

  ScratchDirectory folder_;
  io::Path root_ = folder_ / "run";
  RunDirectory run_{root_};
  Settings settings_;
};

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_F(RunDirectoryTest, StartsANewRun) {
  EXPECT_TRUE(run_.check(settings_).empty());
  EXPECT_FALSE(io::exists(root_)) << "check() must not change the disk";
  run_.begin(settings_);
  EXPECT_EQ(io::read_text(run_.config()), to_toml(settings_));
  EXPECT_TRUE(io::is_directory(run_.checkpoints()));
  run_.start_log(3);
  EXPECT_TRUE(io::exists(root_ / "log" / "rank3.log"));
}

TEST_F(RunDirectoryTest, RefusesARunThatIsThere) {
  run_.begin(settings_);
  const std::string text = error();
  EXPECT_TRUE(contains(text, "[run.exists]")) << text;
  // There is nothing to resume yet.
  EXPECT_TRUE(contains(text, "saved no checkpoint; use --overwrite to begin it anew")) << text;
  EXPECT_FALSE(contains(text, "--resume")) << text;
  io::create_directories(run_.checkpoints() / "000000010");
  EXPECT_TRUE(contains(error(), "at step 10; use --resume, --overwrite or another --run"));
}

TEST_F(RunDirectoryTest, AcceptsADirectoryWithOtherFiles) {
  io::create_directories(root_ / "log");
  io::write_text_atomically(root_ / "notes.txt", "mine");
  EXPECT_EQ(error(), "");
}

TEST_F(RunDirectoryTest, OverwritingDeletesTheRunAndNothingElse) {
  run_.begin(settings_);
  io::write_text_atomically(run_.metrics(), "old");
  io::write_text_atomically(root_ / "notes.txt", "mine");
  io::create_directories(run_.checkpoints() / "000000010");
  settings_.train.overwrite = true;
  EXPECT_EQ(error(), "");
  EXPECT_TRUE(io::exists(run_.metrics())) << "check() must not change the disk";
  run_.begin(settings_);
  EXPECT_FALSE(io::exists(run_.metrics()));
  EXPECT_TRUE(io::list(run_.checkpoints()).empty());
  EXPECT_EQ(io::read_text(root_ / "notes.txt"), "mine");
}

TEST_F(RunDirectoryTest, RefusesToResumeNothing) {
  settings_.train.resume = true;
  EXPECT_TRUE(contains(error(), "[run.none]"));
}

TEST_F(RunDirectoryTest, ResumeNotesHarmlessChanges) {
  run_.begin(settings_);
  settings_.train.resume = true;
  EXPECT_TRUE(run_.check(settings_).empty());
  settings_.train.save_every = 10;
  EXPECT_EQ(run_.check(settings_), std::vector<std::string>{"train.save_every was 0, now 10"});
}

TEST_F(RunDirectoryTest, ResumeRefusesOtherModelsAndNamesAll) {
  run_.begin(settings_);
  settings_.train.resume = true;
  settings_.train.allow_change = "model.layers";
  settings_.model.layers = 7;
  settings_.optim.name = "lion";
  const std::string text = error();
  EXPECT_TRUE(contains(text, "model.layers was 6, now 7: cannot change")) << text;
  EXPECT_TRUE(contains(text, "optim.name was \"adamw\", now \"lion\": cannot change")) << text;
}

TEST_F(RunDirectoryTest, ResumeChangesResultsOnlyWithLeave) {
  run_.begin(settings_);
  settings_.train.resume = true;
  settings_.optim.lr = 1e-3;
  settings_.train.seed = 2;
  EXPECT_TRUE(contains(error(), "add --train.allow_change train.seed,optim.lr")) << error();
  settings_.train.allow_change = "seed,optim.lr";
  EXPECT_EQ(run_.check(settings_).size(), 2U);
  settings_.train.allow_change = " seed, optim.lr ";
  EXPECT_EQ(run_.check(settings_).size(), 2U);
  settings_.train.allow_change = "seed,,optim.lr";
  EXPECT_TRUE(contains(error(), "names ''")) << error();
  settings_.train.allow_change = "sed";
  EXPECT_TRUE(contains(error(), "did you mean 'seed'?")) << error();
}

TEST_F(RunDirectoryTest, ResumeKeepsTheBatchUnlessAnotherIsAskedFor) {
  settings_.train.global_batch = 4096;
  run_.begin(settings_);
  EXPECT_EQ(run_.stored_batch(), 4096U);
  settings_.train.resume = true;
  settings_.train.global_batch = 0;
  EXPECT_TRUE(run_.check(settings_).empty());
  settings_.train.global_batch = 2048;
  EXPECT_TRUE(contains(error(), "train.global_batch was 4096, now 2048")) << error();
}

TEST_F(RunDirectoryTest, ResumeRefusesABrokenStoredConfig) {
  run_.begin(settings_);
  settings_.train.resume = true;
  io::write_text_atomically(run_.config(), "[optim]\nlr = =\n");
  EXPECT_TRUE(contains(error(), "config.toml:2:")) << error();
}

}  // namespace
}  // namespace motley
