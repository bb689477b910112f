#include "train/metrics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/file_size_limit.h"
#include "tests/scratch_directory.h"
#include "train/text_source.h"

namespace motley {
namespace {

class Metrics : public testing::Test {
 protected:
  static StepRecord record(std::uint64_t step) {
    return {.step = step,
            .tokens = 100 * step,
            .seconds = 0.5 * static_cast<double>(step),
            .loss = 3.25,
            .gradient_norm = 0.5,
            .learning_rate = 1e-3,
            .step_tokens = 100,
            .step_seconds = 0.5,
            .ranks = {{.leaves = 3,
                       .times = {.compute = 0.25, .exposed = 0.1234567, .wait = 0, .io = 1e-3}}}};
  }

  ScratchDirectory folder_;
  io::Path path_ = folder_ / "metrics.jsonl";
};

TEST_F(Metrics, HoldsOneObjectALine) {
  {
    MetricsLog log(path_, 0);
    log.write(record(1));
    log.write(1, {.loss = 2.0, .perplexity = 7.39, .bits_per_byte = 1.5, .tokens = 4096});
  }
  EXPECT_EQ(io::read_text(path_),
            "{\"kind\":\"step\",\"step\":1,\"tokens\":100,\"loss\":3.25,\"norm\":0.5,\"lr\":0.001,"
            "\"tokens_per_s\":200.0,\"seconds\":0.5,\"ranks\":[{\"leaves\":3,\"compute\":0.25,"
            "\"exposed\":0.123457,\"wait\":0.0,\"io\":0.001}]}\n"
            "{\"kind\":\"eval\",\"step\":1,\"tokens\":4096,\"loss\":2.0,\"perplexity\":7.39,"
            "\"bits_per_byte\":1.5}\n");
}

TEST_F(Metrics, TellsTheLossScaleWhereThereIsOne) {
  StepRecord scaled = record(1);
  scaled.loss_scale = 16384;
  scaled.skipped = 2;
  {
    MetricsLog log(path_, 0);
    log.write(scaled);
  }
  expect_mentions(io::read_text(path_),
                  "\"seconds\":0.5,\"loss_scale\":16384.0,\"skipped\":2,\"ranks\":");
}

TEST_F(Metrics, TellsOfPlansAndStragglers) {
  {
    MetricsLog log(path_, 0);
    PlanChange change{.reason = PlanReason::gain,
                      .step = 10,
                      .first_step = 14,
                      .plan = {{{0, 3}, {3, 4}}},
                      .gain = 0.5,
                      .rank = 1,
                      .excess = 0.25,
                      .left_out = {},
                      .taken_in = {},
                      .leaf_seconds = {0.25, 0.75}};
    log.write(change);
    change.reason = PlanReason::measure;
    change.leaf_seconds[1] = std::numeric_limits<double>::infinity();
    log.write(change);
    log.write(60, Straggler{.rank = 1, .score = 0.5});
  }
  EXPECT_EQ(io::read_text(path_),
            "{\"kind\":\"plan\",\"step\":10,\"reason\":\"gain\",\"from\":15,\"leaves\":[3,1],"
            "\"leaf_seconds\":[0.25,0.75],\"gain\":0.5}\n"
            "{\"kind\":\"plan\",\"step\":10,\"reason\":\"measure\",\"from\":15,\"leaves\":[3,1],"
            "\"leaf_seconds\":[0.25,null]}\n"
            "{\"kind\":\"slow\",\"step\":60,\"rank\":1,\"score\":0.5}\n");
}

TEST_F(Metrics, WritesNullForWhatIsNotFinite) {
  StepRecord bad = record(1);
  bad.loss = std::numeric_limits<double>::quiet_NaN();
  MetricsLog(path_, 0).write(bad);
  EXPECT_TRUE(nlohmann::json::parse(io::read_text(path_)).at("loss").is_null());
}

TEST_F(Metrics, DropsLinesAfterTheStepItResumesAt) {
  for (std::uint64_t step = 1; step <= 5; ++step) MetricsLog(path_, step - 1).write(record(step));
  MetricsLog(path_, 3).write(record(4));
  const std::string text = io::read_text(path_);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 4);
  EXPECT_EQ(text.find("\"step\":5"), std::string::npos);
}

TEST_F(Metrics, DropsATornLastLine) {
  MetricsLog(path_, 0).write(record(1));
  io::File::append(path_).write("{\"kind\":\"step\",\"st");
  MetricsLog(path_, 1).write(record(2));
  const std::string text = io::read_text(path_);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
  EXPECT_EQ(text.find("\"st{"), std::string::npos);
}

TEST_F(Metrics, DropsDamagedLinesAndKeepsTheOthers) {
  const std::string good = "{\"kind\":\"step\",\"step\":1}\n";
  const std::string nul(5, '\0');  // what a crash leaves of blocks that never reached the disk
  io::write_text_atomically(path_, good + "not json\n" + nul + "\n[1]\n{\"step\":-1}\n" + good);
  MetricsLog(path_, 1).write(record(2));
  const std::string text = io::read_text(path_);
  EXPECT_EQ(text.substr(0, 2 * good.size()), good + good);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3);
}

TEST_F(Metrics, GoOnWithoutTheLinesThatTheDiskRefuses) {
  {
    MetricsLog log(path_, 0);
    log.write(record(1));
    {
      const FileSizeLimit limit(std::filesystem::file_size(path_) + 20);
      log.write(record(2));
      log.write(record(3));
    }
    log.write(record(4));
    log.write(record(5));
  }
  MetricsLog(path_, 9);
  std::vector<std::uint64_t> steps;
  for_each_line(path_, [&](std::uint64_t, std::string_view line) {
    steps.push_back(nlohmann::json::parse(line)["step"].get<std::uint64_t>());
  });
  EXPECT_EQ(steps, (std::vector<std::uint64_t>{1, 4, 5}));
}

/// Longer than what is read at once.
TEST_F(Metrics, DropsALineWithoutEnd) {
  const std::string good = "{\"kind\":\"step\",\"step\":1}\n";
  io::write_text_atomically(path_, good);
  io::File file = io::File::append(path_);
  const std::string block(std::size_t{1} << 20, '\0');
  for (std::size_t bytes = 0; bytes <= max_line_bytes; bytes += block.size()) file.write(block);
  EXPECT_NO_THROW(MetricsLog(path_, 1));
  EXPECT_EQ(io::read_text(path_), good);
}

}  // namespace
}  // namespace motley
