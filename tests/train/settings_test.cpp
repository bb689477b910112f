#include "train/settings.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tensor/error.h"
#include "tests/scratch_directory.h"
#include "train/presets.h"
#include "train/settings_toml.h"

namespace motley {
namespace {

using Words = std::vector<std::string>;

/// The error's code and message.
std::string error_of(const Words& arguments) {
  try {
    resolve_settings(arguments);
  } catch (const ConfigError& e) {
    return "[" + e.code() + "] " + e.what();
  }
  return "";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class SettingsFile : public testing::Test {
 protected:
  std::string write(const std::string& text) const {
    return folder_.write("run.toml", text).string();
  }
  ResolvedSettings read(const std::string& text) const {
    return resolve_settings(Words{write(text)});
  }
  std::string error(const std::string& text) const { return error_of({write(text)}); }

  ScratchDirectory folder_;
};

TEST_F(SettingsFile, LaterSourcesWin) {
  const std::string file =
      write("[optim]\nlr = 1e-3\nwarmup = 7\n[model]\npreset = \"gpt2-124m\"\n");
  const ResolvedSettings resolved =
      resolve_settings(Words{file, "--optim.lr", "2e-3", "--model.layers=3"});
  const Settings& s = resolved.values;
  EXPECT_EQ(s.optim.lr, 2e-3);    // the flag, over the file
  EXPECT_EQ(s.optim.warmup, 7U);  // the file, over the default
  EXPECT_EQ(s.optim.beta2, OptimSettings{}.beta2);
  EXPECT_EQ(s.model.width, 768U);  // the preset
  EXPECT_EQ(s.model.layers, 3U);   // the flag, over the preset
  EXPECT_EQ(s.model.family, Family::gpt2);
}

TEST_F(SettingsFile, RemembersWhereValuesCameFrom) {
  const std::string file = write("[optim]\n\nwarmup = 7\n[model]\npreset = \"gpt2-124m\"\n");
  const ResolvedSettings resolved = resolve_settings(Words{file, "--lr=2e-3"});
  EXPECT_EQ(resolved.origins.at("optim.warmup"), file + ":3");
  EXPECT_EQ(resolved.origins.at("model.width"), "preset gpt2-124m");
  EXPECT_EQ(resolved.origins.at("optim.lr"), "--lr");
  EXPECT_EQ(resolved.origins.count("optim.beta1"), 0U);
  const std::string shown = to_toml_with_origins(resolved);
  EXPECT_TRUE(contains(shown, "lr = 0.002                        # --lr\n")) << shown;
  EXPECT_TRUE(contains(shown, "# default\n"));
}

TEST_F(SettingsFile, RoundTripsThroughToml) {
  const ResolvedSettings first = resolve_settings(
      Words{"--preset", "llama-1b", "--epsilon", "1e-9", "--beta2=0.9875", "--run=runs/a \"b\"\\c",
            "--sample_prompt", "Zeile 1\nZeile 2\tä\x7f", "--seed=9007199254740993", "--minutes",
            "2h", "--no-tie", "--schedule=wsd", "--name=lion", "--device.use=name:Arc A770"});
  const std::string text = to_toml(first.values);
  const ResolvedSettings second = read(text);
  EXPECT_EQ(to_toml(second.values), text);
  EXPECT_EQ(second.values.train.seed, 9007199254740993U);
  EXPECT_EQ(second.values.train.sample_prompt, "Zeile 1\nZeile 2\tä\x7f");
  EXPECT_EQ(second.values.train.run, "runs/a \"b\"\\c");
  EXPECT_EQ(second.values.optim.epsilon, 1e-9);
  EXPECT_FALSE(second.values.model.tie);
}

TEST_F(SettingsFile, DoesNotStoreWhatHoldsForOneCall) {
  const std::string text = to_toml(resolve_settings(Words{"--overwrite"}).values);
  EXPECT_FALSE(contains(text, "overwrite"));
  EXPECT_TRUE(
      contains(to_toml_with_origins(resolve_settings(Words{"--overwrite"})), "overwrite = true"));
}

TEST_F(SettingsFile, UnknownKeysNameThePlaceAndTheNearestKey) {
  const std::string text = error("[train]\nbatchsize = 3\n");
  EXPECT_TRUE(contains(text, "[config.unknown-key]")) << text;
  EXPECT_TRUE(contains(text, "run.toml:2:1  [train] batchsize")) << text;
  EXPECT_TRUE(contains(text, "did you mean 'micro_batch'?")) << text;
}

TEST_F(SettingsFile, UnknownSectionsAndKeysOutsideSectionsAreRefused) {
  EXPECT_TRUE(contains(error("[optimm]\nlr = 1.0\n"), "did you mean 'optim'?"));
  EXPECT_TRUE(contains(error("lr = 1.0\n"), "[config.unknown-section]"));
  EXPECT_TRUE(contains(error("train = 3\n"), "write [train]"));
  EXPECT_TRUE(contains(error("[train.steps]\nx = 1\n"), "[config.type]"));
}

TEST_F(SettingsFile, WrongTypesAndRangesNameThePlaceAndTheRule) {
  EXPECT_TRUE(
      contains(error("[train]\nsteps = true\n"), "run.toml:2:1  [train] steps has the wrong type"));
  EXPECT_TRUE(contains(error("[train]\nrun = 5\n"), "must be text in UTF-8"));
  EXPECT_TRUE(
      contains(error("[train]\nsteps = -1\n"), "steps = -1\n  must be a whole number from 0 to"));
  EXPECT_TRUE(contains(error("[train]\nsteps = 1.5\n"), "must be a whole number"));
  EXPECT_TRUE(contains(error("[optim]\nlr = nan\n"), "must be a number from 0 to 100"));
  EXPECT_TRUE(contains(error("[optim]\nbeta1 = 1.0\n"), "beta1 = 1"));
  EXPECT_TRUE(contains(error("[optim]\nname = \"adam\"\n"), "did you mean 'adamw'?"));
  EXPECT_TRUE(contains(error("[model]\ntie = 1\n"), "must be true or false"));
}

TEST_F(SettingsFile, BrokenTomlIsRefusedWithItsPlace) {
  EXPECT_TRUE(contains(error("[optim]\nlr = \n"), "run.toml:2:"));
  EXPECT_TRUE(contains(error("[optim]\nlr = 1.0\nlr = 2.0\n"), "[config.syntax]"));
  EXPECT_TRUE(contains(error("[optim\n"), "[config.syntax]"));
  EXPECT_TRUE(contains(error(std::string("[optim]\nlr = 1.0\0", 17)), "[config.syntax]"));
  EXPECT_TRUE(contains(error("[train]\nrun = \"\xff\"\n"), "[config.syntax]"));
  EXPECT_THROW(read(std::string((1 << 20) + 1, '\n')), IoError);
  EXPECT_THROW(resolve_settings(Words{(folder_ / "missing.toml").string()}), IoError);
}

TEST_F(SettingsFile, ResumeReadsTheRunsOwnFile) {
  const std::string run = (folder_ / "run").string();
  io::create_directories(run);
  io::write_text_atomically(io::Path(run) / "config.toml",
                            "[optim]\nlr = 0.5\n[train]\nrun = \"elsewhere\"\n");
  const ResolvedSettings resumed = resolve_settings(Words{"--train.run", run, "--train.resume"});
  EXPECT_EQ(resumed.values.optim.lr, 0.5);
  EXPECT_EQ(resumed.values.train.run, run);
  EXPECT_EQ(resolve_settings(Words{"--train.run", run}).values.optim.lr, OptimSettings{}.lr);
}

struct Spelling {
  const char* flag;
  double value;
};

class Units : public testing::TestWithParam<Spelling> {};

TEST_P(Units, AreUnderstood) {
  const Settings s = resolve_settings(Words{GetParam().flag}).values;
  const std::string flag = GetParam().flag;
  const double got = contains(flag, "tokens")    ? static_cast<double>(s.train.tokens)
                     : contains(flag, "minutes") ? s.train.minutes
                     : contains(flag, "log")     ? s.train.log_every
                                                 : s.optim.min_lr_ratio;
  EXPECT_EQ(got, GetParam().value) << flag;
}

INSTANTIATE_TEST_SUITE_P(
    Spellings, Units,
    testing::Values(Spelling{"--train.tokens=2.5G", 2.5e9}, Spelling{"--train.tokens=100k", 1e5},
                    Spelling{"--train.tokens=1.1M", 1.1e6}, Spelling{"--train.tokens=1e6", 1e6},
                    Spelling{"--train.tokens=17", 17}, Spelling{"--train.minutes=10m", 10},
                    Spelling{"--train.minutes=2h", 120}, Spelling{"--train.minutes=90s", 1.5},
                    Spelling{"--train.minutes=0.5", 0.5}, Spelling{"--train.log-every=2m", 120},
                    Spelling{"--optim.min_lr_ratio=10%", 0.1},
                    Spelling{"--optim.min-lr-ratio=0.25", 0.25}));

TEST(Flags, HaveManySpellings) {
  EXPECT_TRUE(resolve_settings(Words{"--train.resume", "--run=nowhere"}).values.train.resume);
  EXPECT_TRUE(resolve_settings(Words{"--resume", "true", "--run=nowhere"}).values.train.resume);
  EXPECT_FALSE(resolve_settings(Words{"--model.no-tie"}).values.model.tie);
  EXPECT_FALSE(resolve_settings(Words{"--model.tie=false"}).values.model.tie);
  EXPECT_FALSE(resolve_settings(Words{"--tie", "--no-tie"}).values.model.tie);
  EXPECT_EQ(resolve_settings(Words{"--micro-batch", "4"}).values.train.micro_batch, 4U);
  EXPECT_EQ(resolve_settings(Words{"--sample_prompt=--x"}).values.train.sample_prompt, "--x");
}

TEST(Flags, AreRefusedWithTheNearest) {
  EXPECT_TRUE(contains(error_of({"--optim.lrr", "1"}), "did you mean 'optim.lr'?"));
  EXPECT_TRUE(contains(error_of({"--stps", "1"}), "did you mean 'steps'?"));
  EXPECT_TRUE(contains(error_of({"--optim.no-lr"}), "'optim.lr' is not a switch"));
  EXPECT_TRUE(contains(error_of({"--optim.lr"}), "[config.missing-value]"));
  EXPECT_TRUE(contains(error_of({"--optim.lr", "--resume"}), "[config.missing-value]"));
  EXPECT_TRUE(contains(error_of({"--no-tie=true"}), "takes no value"));
  EXPECT_TRUE(contains(error_of({"--lr", "-1"}), "--lr  [optim] lr = -1"));
  EXPECT_TRUE(contains(error_of({"--tokens", "3x"}), "tokens = 3x"));
  EXPECT_TRUE(contains(error_of({"--steps", "2%"}), "steps = 2%"));
  EXPECT_TRUE(contains(error_of({"--seed", "18446744073709551615"}), "[config.value]"));
  EXPECT_TRUE(contains(error_of({"--run", "\xff"}), "not UTF-8"));
  EXPECT_TRUE(contains(error_of({"--preset", "llama-10"}), "did you mean 'llama-10m'?"));
  EXPECT_TRUE(contains(error_of({"a.toml", "b.toml"}), "second file"));
  EXPECT_TRUE(contains(error_of({"-x"}), "neither a flag nor a file"));
  EXPECT_TRUE(contains(error_of({"--"}), "[config.argument]"));
}

TEST(Settings, TakeNoTimeoutShorterThanHeartbeatsNeed) {
  EXPECT_TRUE(contains(error_of({"--dist.step_timeout", "0.001"}), "at least 2 seconds"));
  EXPECT_TRUE(contains(error_of({"--dist.step_timeout", "1.9"}), "at least 2 seconds"));
  for (const char* good : {"0", "2", "10m"}) {
    EXPECT_NO_THROW(resolve_settings(Words{"--dist.step_timeout", good}));
  }
}

TEST(Flags, HaveOtherNames) {
  const Settings settings =
      resolve_settings(Words{"--device", "gpu;node2=cpu", "--share-device"}).values;
  EXPECT_EQ(settings.device.use, "gpu;node2=cpu");
  EXPECT_TRUE(settings.device.share);
  EXPECT_FALSE(resolve_settings(Words{"--no-share-device"}).values.device.share);
  EXPECT_TRUE(resolve_settings(Words{"--one-core"}).values.device.one_core);
  EXPECT_TRUE(contains(error_of({"--devcie", "cpu"}), "did you mean 'device'?"));
  EXPECT_TRUE(contains(error_of({"--=x"}), "no such setting"));
}

TEST(CheckSettings, RefusesWhatDoesNotGoTogether) {
  EXPECT_TRUE(contains(error_of({"--model.heads", "5"}), "heads must divide width"));
  EXPECT_TRUE(contains(error_of({"--model.kv_heads", "4"}), "kv_heads must divide heads"));
  EXPECT_TRUE(contains(error_of({"--sequence", "512"}), "at most model.context = 256"));
  EXPECT_TRUE(contains(error_of({"--simulate-ranks", "1024"}), "64"));
  EXPECT_TRUE(contains(error_of({"--global_batch", "5000"}), "the nearest are 4096 and 6144"));
  EXPECT_TRUE(contains(error_of({"--global_batch", "100"}), "the nearest is 2048"));
  EXPECT_TRUE(contains(error_of({"--device.use", "index:"}), "index:N"));
  EXPECT_TRUE(
      contains(error_of({"--resume", "--overwrite", "--run=nowhere"}), "[config.conflict]"));
  EXPECT_TRUE(contains(error_of({"--run="}), "train.run is empty"));
  EXPECT_TRUE(contains(error_of({"--loss_scale", "65535"}), "must be a power of two"));
  EXPECT_TRUE(contains(error_of({"--dist.wire", "f16"}), "f32"));
}

TEST(CheckSettings, TrainingNeedsDataAndALimit) {
  Settings settings;
  EXPECT_THROW(check_settings_for_training(settings), ConfigError);
  settings.data.path = "data";
  EXPECT_THROW(check_settings_for_training(settings), ConfigError);
  settings.train.minutes = 0.5;
  check_settings_for_training(settings);
}

TEST(DerivedSettings, CountTokensAndLeaves) {
  Settings settings;
  EXPECT_EQ(sequence_length(settings), 256U);
  EXPECT_EQ(leaf_tokens(settings), 2048U);
  EXPECT_EQ(leaves_per_step(settings, 3), 3U);
  settings.train.sequence = 64;
  settings.train.global_batch = 2048;
  EXPECT_EQ(leaves_per_step(settings, 3), 4U);
}

TEST(SettingsTable, DefaultsPassTheirOwnChecks) {
  for (const Setting& row : settings_table()) {
    const SettingValue value = row.get(Settings{}, row);
    const auto* text = std::get_if<std::string>(&value);
    const std::string spelled = text != nullptr ? *text : format_setting(value);
    EXPECT_EQ(parse_setting(row, spelled, "default"), value) << row.full_name();
    EXPECT_FALSE(row.help.empty()) << row.full_name();
  }
}

TEST(SettingsTable, DescribesEverySetting) {
  const std::string text = describe_settings();
  for (const Setting& row : settings_table())
    EXPECT_TRUE(contains(text, row.key.data())) << row.key;
}

}  // namespace
}  // namespace motley
