// motley tune, and what runs make of what it found: with the built program.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "tensor/io.h"
#include "tests/launch/program_runs.h"
#include "tests/scratch_directory.h"

namespace motley {
namespace {

using test::count_of;
using test::expect_ok;
using test::losses;
using test::Outcome;

constexpr std::size_t num_products = 15;  // three of each layer, and of the head

class Tune : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    scratch_ = new ScratchDirectory;
    test::make_data(MOTLEY_PROGRAM, scratch_->path(), 400);
  }
  static void TearDownTestSuite() { delete scratch_; }

  static std::string at(const std::string& name) { return (*scratch_ / name).string(); }
  static std::string model() {
    return " --model.layers 1 --model.width 48 --model.heads 4 --model.kv_heads 2"
           " --model.mlp_width 96 --model.context 32 --train.micro_batch 2 --device.cache " +
           at("cache") + " --data.path " + at("data") + " ";
  }
  static std::string train(const std::string& run, const std::string& more) {
    return MOTLEY_PROGRAM " train" + model() + "--train.run " + at(run) + " " + more;
  }
  /// What a checkpoint says of how its devices multiplied.
  static nlohmann::json products(const std::string& checkpoint) {
    return nlohmann::json::parse(io::read_text(at(checkpoint + "/state.json")))["products"];
  }
  /// The files of plans in the cache.
  static std::size_t num_plan_files() {
    std::size_t count = 0;
    for (const std::string& name : io::list(at("cache")))
      if (name.starts_with("products-")) ++count;
    return count;
  }

  static ScratchDirectory* scratch_;
};
ScratchDirectory* Tune::scratch_ = nullptr;

TEST_F(Tune, KeepsWhatLaterRunsUseAndCheckpointsRemember) {
  // A run that began before anything was tuned, and the same whole, by the defaults.
  expect_ok(train("before", "--train.steps 2"));
  EXPECT_EQ(num_plan_files(), 0u) << "training tunes only if it is asked to";
  ASSERT_EQ(products("before/ckpt/000000002").size(), 1u);
  EXPECT_TRUE(products("before/ckpt/000000002")[0]["plans"].empty());

  const Outcome tuned = test::run_command(MOTLEY_PROGRAM " tune" + model());
  ASSERT_EQ(tuned.exit_code, 0) << tuned.text;
  for (const char* product : {"qkv", "out", "up", "down", "head"}) {
    for (const char* pass : {"forward", "dX", "dW"})
      EXPECT_NE(tuned.text.find(std::string(product) + " " + pass), std::string::npos)
          << tuned.text;
  }
  EXPECT_NE(tuned.text.find("kept in " + at("cache/products-")), std::string::npos) << tuned.text;
  EXPECT_EQ(num_plan_files(), 1u);

  expect_ok(train("after", "--train.steps 2"));
  EXPECT_EQ(products("after/ckpt/000000002")[0]["plans"].size(), num_products);
  expect_ok(train("off", "--train.steps 4 --device.tune off"));
  EXPECT_TRUE(products("off/ckpt/000000004")[0]["plans"].empty());

  // Each goes on as it began.
  const std::string on = "--train.steps 4 --train.resume --train.allow_change steps ";
  expect_ok(train("after", on + "--device.tune off"));
  EXPECT_EQ(products("after/ckpt/000000004"), products("after/ckpt/000000002"));
  expect_ok(train("before", on + "--device.tune load"));
  EXPECT_EQ(products("before/ckpt/000000004"), products("before/ckpt/000000002"));
}

TEST_F(Tune, HappensOnFirstUseIfARunIsAskedTo) {
  const std::string automatic = "--train.steps 1 --device.tune auto --device.cache " + at("own");
  const Outcome first = test::run_command(train("first", automatic));
  ASSERT_EQ(first.exit_code, 0) << first.text;
  EXPECT_EQ(count_of(first.text, "tuning "), 1u) << first.text;
  EXPECT_FALSE(products("first/ckpt/000000001")[0]["plans"].empty());
}

TEST_F(Tune, IsNotForSeveralRanks) {
  const Outcome outcome = test::run_command(MOTLEY_MPIEXEC " -n 2 " MOTLEY_PROGRAM " tune");
  EXPECT_EQ(outcome.exit_code, 2) << outcome.text;
  EXPECT_EQ(count_of(outcome.text, "error["), 1u) << outcome.text;
  EXPECT_NE(outcome.text.find("motley tune was started 2 times"), std::string::npos);
}

TEST_F(Tune, SaysWhichVocabularyItTakesWithoutData) {
  const Outcome outcome =
      test::run_command(MOTLEY_PROGRAM
                        " tune --model.preset llama-tiny --model.layers 1 --model.width 64"
                        " --model.mlp_width 64 --model.context 16 --train.micro_batch 1 "
                        "--device.cache " +
                        at("cache"));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.text;
  EXPECT_EQ(outcome.text.rfind("vocabulary  4096 tokens, as usual with llama-tiny", 0), 0u)
      << outcome.text;
}

}  // namespace
}  // namespace motley
