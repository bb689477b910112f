// Runs the built program as a user would and looks at what it prints and how it ends.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "tensor/io.h"
#include "tests/launch/outcome.h"
#include "tests/scratch_directory.h"

namespace motley {
namespace {

using test::Outcome;

Outcome run(const std::string& arguments) {
  return test::run_command(std::string(MOTLEY_PROGRAM " ") + arguments);
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class Subcommand : public testing::TestWithParam<const char*> {};

TEST_P(Subcommand, ExplainsItself) {
  const std::string name = GetParam();
  const Outcome help = run(name + " --help");
  EXPECT_EQ(help.exit_code, 0) << help.text;
  EXPECT_TRUE(contains(help.text, "motley " + name)) << help.text;
  EXPECT_TRUE(contains(run("--help").text, "\n  " + name + " ")) << "not in the list";
}

TEST_P(Subcommand, RefusesUnknownFlags) {
  const Outcome outcome = run(std::string(GetParam()) + " --no-such-flag-at-all");
  EXPECT_EQ(outcome.exit_code, 2) << outcome.text;
  EXPECT_TRUE(contains(outcome.text, "error[")) << outcome.text;
}

INSTANTIATE_TEST_SUITE_P(All, Subcommand,
                         testing::Values("devices", "doctor", "tokenizer", "data", "config", "tune",
                                         "train", "eval", "sample", "ckpt", "import", "export"));

struct Slip {
  const char* arguments;
  const char* meant;
};

class MistypedFlag : public testing::TestWithParam<Slip> {};

TEST_P(MistypedFlag, IsRefusedWithTheOneThatWasMeant) {
  const Outcome outcome = run(GetParam().arguments);
  EXPECT_EQ(outcome.exit_code, 2) << outcome.text;
  EXPECT_TRUE(contains(outcome.text, std::string("did you mean '") + GetParam().meant + "'?"))
      << outcome.text;
}

INSTANTIATE_TEST_SUITE_P(
    Some, MistypedFlag,
    testing::Values(Slip{"devices --jsn", "--json"},
                    Slip{"tokenizer train --vocabulary 9", "--vocab"},
                    Slip{"data prepare --tokeniser x", "--tokenizer"},
                    Slip{"config show --optim.weigth_decay 1", "optim.weight_decay"},
                    Slip{"train --train.stpes 5", "train.steps"},
                    Slip{"tune --device.tuen off", "device.tune"},
                    Slip{"sample --temprature 1", "--temperature"},
                    Slip{"import --form hf", "--from"}, Slip{"export --dtpe f32", "--dtype"}));

TEST(Program, EndsWithTheExitCodeOfTheErrorsKind) {
  EXPECT_EQ(run("train").exit_code, 2) << "no data set, no limit";
  EXPECT_EQ(run("train /nonexistent/run.toml").exit_code, 3);
  EXPECT_EQ(run("train --optim.lr -1 --train.run /nonexistent/run").exit_code, 2);
}

TEST(Program, NamesTheOptionOfAValueThatCannotBeRead) {
  for (const char* arguments : {"eval a b --sequence -5", "eval a b --sequence=-5",
                                "eval --sequence x a b", "eval a b --json --sequence 1.5"}) {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.exit_code, 2) << arguments;
    EXPECT_NE(outcome.text.find("error[usage.option]  --sequence: "), std::string::npos)
        << outcome.text;
  }
}

TEST(Program, HasAVersion) {
  const Outcome outcome = run("--version");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.text, "motley " MOTLEY_VERSION "\n");
}

TEST(Program, WithoutArgumentsPrintsHelpAndFails) {
  const Outcome outcome = run("");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_TRUE(contains(outcome.text, "Usage: motley COMMAND"));
}

TEST(Program, SuggestsTheNearestCommandAndFlag) {
  const Outcome command = run("devcies");
  EXPECT_EQ(command.exit_code, 2);
  EXPECT_EQ(command.text,
            "error[usage.unknown-command]  motley devcies\n"
            "  no such command; did you mean 'devices'?  (all: motley --help)\n");
  const Outcome flag = run("devices --jsn");
  EXPECT_EQ(flag.exit_code, 2);
  EXPECT_EQ(flag.text,
            "error[usage.unknown-option]  --jsn\n"
            "  no such option; did you mean '--json'?  (all: motley devices --help)\n");
  EXPECT_EQ(run("devices extra").exit_code, 2);
}

TEST(Program, ReportsThatOutputWasLost) {
  EXPECT_EQ(run("config keys > /dev/full").exit_code, 3);
}

TEST(Program, FailsInOrderAtALimitOnTheSizeOfFiles) {
  const ScratchDirectory scratch;
  const Outcome outcome = test::run_command(
      "sh -c 'ulimit -f 1; exec " MOTLEY_PROGRAM " tokenizer train --vocab 2000 -o " +
      (scratch / "tok.json").string() + " /usr/share/common-licenses/GPL-3'");
  EXPECT_EQ(outcome.exit_code, 3) << outcome.text;
  EXPECT_TRUE(contains(outcome.text, "error[io.failed]")) << outcome.text;
  EXPECT_TRUE(io::list(scratch.path()).empty());
}

TEST(Program, IsRunOnceWhereRanksWouldDoTheSame) {
  const Outcome outcome =
      test::run_command("env SLURM_STEP_NUM_TASKS=3 SLURM_PROCID=0 " MOTLEY_PROGRAM " ckpt list x");
  EXPECT_EQ(outcome.exit_code, 2) << outcome.text;
  EXPECT_TRUE(contains(outcome.text, "error[usage.ranks]  motley ckpt was started 3 times"));
}

TEST(Program, TunesOnOneRank) {
  const Outcome outcome =
      test::run_command("env SLURM_STEP_NUM_TASKS=3 SLURM_PROCID=0 " MOTLEY_PROGRAM " tune");
  EXPECT_EQ(outcome.exit_code, 2) << outcome.text;
  EXPECT_TRUE(contains(outcome.text, "error[usage.ranks]  motley tune was started 3 times"));
}

/// Tasks that a batch system starts without MPI cannot meet: the first one speaks.
TEST(Program, SpeaksOnceForTasksWithoutMpi) {
  for (const char* arguments : {" trian", " ckpt list x", " eval --bad", " train"}) {
    const Outcome outcome = test::run_command(
        std::string("env SLURM_STEP_NUM_TASKS=3 SLURM_PROCID=1 " MOTLEY_PROGRAM) + arguments);
    EXPECT_NE(outcome.exit_code, 0) << arguments;
    EXPECT_EQ(outcome.text, "") << arguments;
  }
}

TEST(Devices, ListsEachAsJson) {
  const Outcome outcome = run("devices --json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.text;
  const auto devices = nlohmann::json::parse(outcome.text);
  ASSERT_FALSE(devices.empty());
  EXPECT_GT(devices[0].at("compute_units"), 0);
  EXPECT_TRUE(contains(run("devices").text, devices[0].at("name").get<std::string>()));
}

TEST(Devices, CountsTheRanksThatSuitThem) {
  const Outcome outcome = run("devices --count --device cpu");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.text;
  EXPECT_GE(std::stoi(outcome.text), 1);
  EXPECT_EQ(run("devices --count --device cpu,cpu,cpu").text, "3\n");
  EXPECT_EQ(run("devices --count --device name:no-such-device").exit_code, 3);
  EXPECT_EQ(run("devices --count --device tpu").exit_code, 2);
}

TEST(Config, ShowsValuesWithTheirOrigin) {
  const Outcome outcome = run("config show --optim.lr 1e-3 --train.minutes=2h");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.text;
  EXPECT_TRUE(contains(outcome.text, "\nlr = 0.001 ")) << outcome.text;
  EXPECT_TRUE(contains(outcome.text, "# --optim.lr\n")) << outcome.text;
  EXPECT_TRUE(contains(outcome.text, "\nminutes = 120.0 ")) << outcome.text;
}

TEST(Config, ListsPresetsAndKeys) {
  EXPECT_TRUE(contains(run("config presets").text, "llama-10m"));
  EXPECT_TRUE(contains(run("config keys").text, "--train.[no-]resume"));
  EXPECT_EQ(run("config shwo").exit_code, 2);
  EXPECT_EQ(run("config").exit_code, 2);
}

}  // namespace
}  // namespace motley
