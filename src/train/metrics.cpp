#include "train/metrics.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "tensor/json.h"

namespace motley {
namespace {

/// The lines of steps up to `last_step`. Throws DataError naming file and line.
std::string lines_up_to(const io::Path& path, std::uint64_t last_step) {
  const std::string text = io::read_text(path);
  std::string kept;
  std::size_t number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string::npos) break;  // torn: the run was killed while writing it
    const std::string_view line = std::string_view(text).substr(begin, end - begin);
    const json::Value record =
        json::parse(line, fmt::format("{}:{}", path.string(), ++number), json::Kind::data);
    if (record.get("step").as_size() <= last_step) kept += fmt::format("{}\n", line);
    begin = end + 1;
  }
  return kept;
}

io::File open_log(const io::Path& path, std::uint64_t first_step) {
  if (io::exists(path)) io::write_text_atomically(path, lines_up_to(path, first_step));
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

void MetricsLog::write(const StepRecord& record) {
  const double rate = static_cast<double>(record.step_tokens) / record.step_seconds;
  nlohmann::ordered_json line{
      {"kind", "step"},       {"step", record.step},          {"tokens", record.tokens},
      {"loss", record.loss},  {"norm", record.gradient_norm}, {"lr", record.learning_rate},
      {"tokens_per_s", rate}, {"seconds", record.seconds}};
  line["ranks"] = nlohmann::ordered_json::array();
  for (const RankStep& rank : record.ranks) line["ranks"].push_back(to_json(rank));
  file_.write(line.dump() + "\n");
}

void MetricsLog::write(std::uint64_t step, const Evaluation& evaluation) {
  nlohmann::ordered_json line{{"kind", "eval"},
                              {"step", step},
                              {"tokens", evaluation.tokens},
                              {"loss", evaluation.loss},
                              {"perplexity", evaluation.perplexity}};
  if (evaluation.bits_per_byte) line["bits_per_byte"] = *evaluation.bits_per_byte;
  file_.write(line.dump() + "\n");
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
  file_.write(line.dump() + "\n");
}

void MetricsLog::write(std::uint64_t step, const Straggler& straggler) {
  const nlohmann::ordered_json line{
      {"kind", "slow"}, {"step", step}, {"rank", straggler.rank}, {"score", straggler.score}};
  file_.write(line.dump() + "\n");
}

}  // namespace motley
