#include "train/metrics.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "tensor/error.h"
#include "tensor/log.h"
#include "train/text_source.h"

namespace motley {
namespace {

constexpr std::size_t block_bytes = std::size_t{1} << 20;

/// The step of a line; none when it is not one that we write.
std::optional<std::uint64_t> step_of(std::string_view line) {
  const auto record = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!record.is_object()) return std::nullopt;
  const auto step = record.find("step");
  if (step == record.end() || !step->is_number_unsigned()) return std::nullopt;
  return step->get<std::uint64_t>();
}

/// Copies the lines of steps up to `last_step`. A run must be able to go on whatever has become of
/// its log, so lines that cannot be read are dropped with a warning.
void copy_lines(io::File& to, const io::Path& path, std::uint64_t last_step) {
  std::string block;
  std::uint64_t num_bad = 0;
  std::string first_bad;
  const auto bad = [&](std::string what) {
    if (num_bad++ == 0) first_bad = std::move(what);
  };
  try {
    for_each_line(path, [&](std::uint64_t number, std::string_view line) {
      const std::optional<std::uint64_t> step = step_of(line);
      if (!step) return bad(fmt::format("{}:{}", path.string(), number));
      if (*step > last_step) return;
      block += fmt::format("{}\n", line);
      if (block.size() < block_bytes) return;
      to.write(block);
      block.clear();
    });
  } catch (const DataError& e) {
    bad(e.what());  // no end of a line far and wide: the rest is nothing of ours
  }
  to.write(block);
  if (num_bad == 0) return;
  log::warn("{} damaged {} left out of the metrics, the first at {}", num_bad,
            num_bad == 1 ? "line was" : "lines were", first_bad);
}

io::File open_log(const io::Path& path, std::uint64_t first_step) {
  if (io::exists(path))
    io::write_atomically(path, [&](io::File& file) { copy_lines(file, path, first_step); });
  return io::File::append(path);
}

/// Whole microseconds, which are few digits.
double rounded(double seconds) {
  return std::round(seconds * 1e6) / 1e6;
}

nlohmann::ordered_json to_json(const RankStep& rank) {
  return {{"leaves", rank.leaves},
          {"compute", rounded(rank.times.compute)},
          {"exposed", rounded(rank.times.exposed)},
          {"wait", rounded(rank.times.wait)},
          {"io", rounded(rank.times.io)}};
}

}  // namespace

MetricsLog::MetricsLog(const io::Path& path, std::uint64_t first_step)
    : file_(open_log(path, first_step)) {}

void MetricsLog::append(const std::string& line) {
  try {
    // What was refused may have left a part of itself.
    file_.write(num_refused_ == 0 ? line + "\n" : "\n" + line + "\n");
  } catch (const IoError& error) {
    if (num_refused_++ == 0) {
      log::warn("{}\nthe run goes on, without the lines of the metrics that cannot be written",
                error.what());
    }
    return;
  }
  if (num_refused_ == 0) return;
  log::warn("{} can be written to again; {} of its lines {} missing", file_.path().string(),
            num_refused_, num_refused_ == 1 ? "is" : "are");
  num_refused_ = 0;
}

void MetricsLog::write(const StepRecord& record) {
  const double rate = static_cast<double>(record.step_tokens) / record.step_seconds;
  nlohmann::ordered_json line{
      {"kind", "step"},       {"step", record.step},          {"tokens", record.tokens},
      {"loss", record.loss},  {"norm", record.gradient_norm}, {"lr", record.learning_rate},
      {"tokens_per_s", rate}, {"seconds", record.seconds}};
  if (record.loss_scale) {
    line["loss_scale"] = *record.loss_scale;
    line["skipped"] = record.skipped;
  }
  line["ranks"] = nlohmann::ordered_json::array();
  for (const RankStep& rank : record.ranks) line["ranks"].push_back(to_json(rank));
  append(line.dump());
}

void MetricsLog::write(std::uint64_t step, const Evaluation& evaluation) {
  nlohmann::ordered_json line{{"kind", "eval"},
                              {"step", step},
                              {"tokens", evaluation.tokens},
                              {"loss", evaluation.loss},
                              {"perplexity", evaluation.perplexity}};
  if (evaluation.bits_per_byte) line["bits_per_byte"] = *evaluation.bits_per_byte;
  append(line.dump());
}

void MetricsLog::write(const PlanChange& change) {
  nlohmann::ordered_json line{{"kind", "plan"},
                              {"step", change.step},
                              {"reason", change.reason == PlanReason::gain ? "gain" : "measure"},
                              {"from", change.first_step + 1},
                              {"leaves", change.plan.counts()},
                              {"leaf_seconds", nlohmann::ordered_json::array()}};
  for (const double seconds : change.leaf_seconds) line["leaf_seconds"].push_back(rounded(seconds));
  if (change.reason == PlanReason::gain) line["gain"] = change.gain;
  append(line.dump());
}

void MetricsLog::write(std::uint64_t step, const Straggler& straggler) {
  const nlohmann::ordered_json line{
      {"kind", "slow"}, {"step", step}, {"rank", straggler.rank}, {"score", straggler.score}};
  append(line.dump());
}

}  // namespace motley
