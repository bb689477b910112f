#include "train/console.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <utility>

#include "tensor/log.h"

namespace motley {
namespace {

constexpr double average_decay = 0.95;

constexpr double minute = 60;
constexpr double hour = 60 * minute;
constexpr double day = 24 * hour;

std::string describe_step(std::uint64_t step, const RunLength& length) {
  if (std::isinf(length.steps) || length.is_estimate) return fmt::format("step {:>6}", step);
  return fmt::format("step {:>6}/{:.0f}", step, length.steps);
}

/// " (compute 78% comm 17% wait 4% io 1%)"; empty when nothing was measured.
std::string describe_split(const StepTimes& spent) {
  const double all = spent.compute + spent.exposed + spent.wait + spent.io;
  if (!(all > 0)) return "";
  const double percent = 100 / all;
  return fmt::format(" (compute {:.0f}% comm {:.0f}% wait {:.0f}% io {:.0f}%)",
                     spent.compute * percent, spent.exposed * percent, spent.wait * percent,
                     spent.io * percent);
}

/// "  scale 16384 (1 step skipped)"; empty where losses are not scaled.
std::string describe_scale(const StepRecord& record) {
  if (!record.loss_scale) return "";
  const std::string skipped =
      record.skipped == 0
          ? ""
          : fmt::format(" ({} step{} skipped)", record.skipped, record.skipped == 1 ? "" : "s");
  return fmt::format("  scale {}{}", *record.loss_scale, skipped);
}

/// What the columns of the table of ranks are made for.
struct RankColumns {
  std::size_t device_width = 6;
  std::size_t host_width = 4;
  std::uint64_t leaves = 0;  // of all ranks
};

std::string rank_line(std::size_t first, std::size_t last, const RankRow& row,
                      const RankColumns& columns) {
  const std::string ranks =
      first == last ? fmt::format("{}", first) : fmt::format("{}-{}", first, last);
  const double share = 100 * static_cast<double>(row.leaves) / static_cast<double>(columns.leaves);
  return fmt::format("  {:<6} {:<{}}  {:<{}}  {:>9} of {:<9}  {:<6}  {:.1f}%{}", ranks, row.host,
                     columns.host_width, fmt::format("{} ({})", row.device, row.kind),
                     columns.device_width, format_bytes(static_cast<double>(row.memory_used)),
                     format_bytes(static_cast<double>(row.memory_total)), row.leaves, share,
                     first == last ? "" : " each");
}

bool same_row(const RankRow& a, const RankRow& b) {
  return a.host == b.host && a.device == b.device && a.kind == b.kind &&
         a.memory_used == b.memory_used && a.memory_total == b.memory_total && a.leaves == b.leaves;
}

/// One line a rank; neighbours that are alike share one.
std::vector<std::string> rank_lines(const std::vector<RankRow>& ranks) {
  RankColumns columns;
  for (const RankRow& row : ranks) {
    columns.device_width = std::max(columns.device_width, row.device.size() + row.kind.size() + 3);
    columns.host_width = std::max(columns.host_width, row.host.size());
    columns.leaves += row.leaves;
  }
  std::vector<std::string> lines{fmt::format("  {:<6} {:<{}}  {:<{}}  {:<22}  leaves  share",
                                             "rank", "host", columns.host_width, "device",
                                             columns.device_width, "memory used of total")};
  for (std::size_t first = 0; first < ranks.size();) {
    std::size_t last = first;
    while (last + 1 < ranks.size() && same_row(ranks[first], ranks[last + 1])) ++last;
    lines.push_back(rank_line(first, last, ranks[first], columns));
    first = last + 1;
  }
  return lines;
}

std::string plural(std::size_t count, std::string_view word) {
  return fmt::format("{} {}{}", count, word, count == 1 ? "" : "s");
}

}  // namespace

std::string format_bytes(double bytes) {
  constexpr std::array<const char*, 5> units{"bytes", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  while (bytes >= 1024 && unit + 1 < units.size()) {
    bytes /= 1024;
    ++unit;
  }
  return fmt::format("{:.{}f} {}", bytes, unit == 0 ? 0 : 1, units[unit]);
}

std::string format_count(double count) {
  constexpr std::array<const char*, 4> units{"k", "M", "G", "T"};
  if (count < 1000) return fmt::format("{:.0f}", count);
  std::size_t unit = 0;
  count /= 1000;
  while (count >= 999.95 && unit + 1 < units.size()) {
    count /= 1000;
    ++unit;
  }
  return fmt::format("{:.1f}{}", count, units[unit]);
}

std::string format_duration(double seconds) {
  if (!std::isfinite(seconds)) return "?";
  seconds = std::round(seconds);
  if (seconds < minute) return fmt::format("{:.0f}s", seconds);
  const auto two = [&](double large, char large_unit, double small, char small_unit) {
    return fmt::format("{:.0f}{}{:02.0f}{}", std::floor(seconds / large), large_unit,
                       std::floor(std::fmod(seconds, large) / small), small_unit);
  };
  if (seconds < hour) return two(minute, 'm', 1, 's');
  return seconds < day ? two(hour, 'h', minute, 'm') : two(day, 'd', hour, 'h');
}

std::string format_short_time(double seconds) {
  return seconds < 1 ? fmt::format("{:.1f} ms", seconds * 1e3) : fmt::format("{:.2f} s", seconds);
}

std::vector<std::string> format_startup(const StartupTable& table) {
  const ModelConfig& m = table.model;
  std::uint64_t leaves = 0;
  std::set<std::string> hosts;
  for (const RankRow& row : table.ranks) {
    leaves += row.leaves;
    hosts.insert(row.host);
  }
  const std::uint64_t leaf_tokens = table.leaf_sequences * table.sequence;
  std::vector<std::string> lines{
      fmt::format("motley  {}  run {}  seed {}  {}  until {}", table.version, table.run, table.seed,
                  table.optimizer, table.limits),
      fmt::format("model   {}  {} parameters  {}  {} ({} kv)  width {}  T {}  vocabulary {}{}",
                  m.traits().name, format_count(static_cast<double>(num_parameters(m))),
                  plural(m.layers, "layer"), plural(m.heads, "head"), m.kv_heads, m.width,
                  table.sequence, m.vocab,
                  table.dtype == "f32" ? "" : fmt::format("  {}", table.dtype)),
      fmt::format("world   {} on {}  a step is {} of {} x {} = {} tokens",
                  plural(table.ranks.size(), "rank"), plural(hosts.size(), "host"),
                  leaves == 1 ? "1 leaf" : fmt::format("{} leaves", leaves), table.leaf_sequences,
                  table.sequence, leaves * leaf_tokens)};
  const std::vector<std::string> ranks = rank_lines(table.ranks);
  lines.insert(lines.end(), ranks.begin(), ranks.end());
  lines.push_back(fmt::format("data    {}  {} tokens in {}  validation {}", table.data_path,
                              format_count(static_cast<double>(table.train_tokens)),
                              plural(table.train_shards, "shard"),
                              format_count(static_cast<double>(table.validation_tokens))));
  if (table.first_step > 0) lines.push_back(fmt::format("resume  after step {}", table.first_step));
  return lines;
}

Console::Console(double every_s)
    : Console(every_s, [](std::string_view line) { log::write(log::Level::info, line); }) {}

Console::Console(double every_s, Sink sink) : every_s_(every_s), sink_(std::move(sink)) {}

void Console::start(const StartupTable& table) {
  for (const std::string& line : format_startup(table)) sink_(line);
}

void Console::step(const StepRecord& record, const RunLength& length) {
  average_ = average_decay * average_ + (1 - average_decay) * record.loss;
  average_weight_ = average_decay * average_weight_ + (1 - average_decay);
  if (!first_) first_ = record;
  latest_ = record;
  for (const RankStep& rank : record.ranks) {
    spent_.compute += rank.times.compute;
    spent_.exposed += rank.times.exposed;
    spent_.wait += rank.times.wait;
    spent_.io += rank.times.io;
  }
  length_ = length;
  const bool is_due = !printed_ || record.seconds - printed_->seconds >= every_s_;
  if (is_due) print_step(record, length);
}

void Console::print_step(const StepRecord& record, const RunLength& length) {
  double tokens = static_cast<double>(record.step_tokens);
  double seconds = record.step_seconds;
  if (printed_) {
    tokens = static_cast<double>(record.tokens - printed_->tokens);
    seconds = record.seconds - printed_->seconds;
  }
  // The first step builds kernels and says little about the others: it counts only while it is
  // alone.
  double step_s = record.step_seconds;
  if (record.step > first_->step) {
    step_s = (record.seconds - first_->seconds) / static_cast<double>(record.step - first_->step);
  }
  const double left_s = (length.steps - static_cast<double>(record.step)) * step_s;
  sink_(fmt::format(
      "{}  loss {:.4f} (avg {:.4f})  |g| {:.3f}  lr {:.2e}{}  {} tok/s{}  time {}  eta {}",
      describe_step(record.step, length), record.loss, average_ / average_weight_,
      record.gradient_norm, record.learning_rate, describe_scale(record),
      format_count(tokens / seconds), describe_split(spent_), format_duration(record.seconds),
      format_duration(std::max(0.0, left_s))));
  printed_ = record;
  spent_ = {};
}

void Console::evaluation(std::uint64_t step, const Evaluation& evaluation,
                         std::optional<double> best_loss) {
  print_latest();
  const std::string bits =
      evaluation.bits_per_byte ? fmt::format("  {:.4f} bits/byte", *evaluation.bits_per_byte) : "";
  const bool is_best = !best_loss || evaluation.loss < *best_loss;
  sink_(fmt::format("val  {:>6}  loss {:.4f}  ppl {:.2f}{}  {}", step, evaluation.loss,
                    evaluation.perplexity, bits,
                    is_best ? "best so far" : fmt::format("best {:.4f}", *best_loss)));
}

void Console::print_latest() {
  const bool has_line = !latest_ || (printed_ && printed_->step == latest_->step);
  if (!has_line) print_step(*latest_, length_);
}

void Console::planned(const PlanChange& change) {
  // Nobody needs to know of steps in which a rank is only measured.
  if (change.reason != PlanReason::gain) return;
  const std::string why =
      change.taken_in.empty()
          ? fmt::format("rank {} is {:.0f}% slower than its share", change.rank,
                        100 * change.excess)
          : fmt::format("rank {} has become fast enough to help", change.taken_in.front());
  sink_(fmt::format("plan {:>6}  {}: leaves {} from step {}", change.step, why,
                    format_leaves(change.plan), change.first_step + 1));
}

void Console::sample(std::uint64_t step, std::string_view text) {
  sink_(fmt::format("sample {:>4}\n{}", step, text));
}

void Console::saved(std::uint64_t step, std::uint64_t bytes, double seconds,
                    std::string_view path) {
  sink_(fmt::format("save {:>6}  {} in {:.1f} s  {}", step,
                    format_bytes(static_cast<double>(bytes)), seconds, path));
}

void Console::stopped(std::uint64_t step, std::string_view reason) {
  print_latest();
  sink_(fmt::format("stop {:>6}  {}", step, reason));
}

}  // namespace motley
