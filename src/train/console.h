// What a user sees while training: the table at the start, then one line every few seconds. Plain
// lines without cursor movement, so that a terminal, a file and a log look alike.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dist/leaf_balancer.h"
#include "model/config.h"
#include "train/evaluate.h"
#include "train/metrics.h"
#include "train/schedule.h"

namespace motley {

/// One rank's row of the start-up table. Sizes in bytes.
struct RankRow {
  std::string host = {};
  std::string device = {};
  std::string kind = {};  // "cpu"
  std::uint64_t memory_used = 0;
  std::uint64_t memory_total = 0;
  std::uint64_t leaves = 0;  // of a step
};

struct StartupTable {
  std::string version = {};
  std::string run = {};
  std::string optimizer = {};  // "adamw, lr 6e-4 cosine"
  std::string limits = {};     // "3 minutes"
  std::uint64_t seed = 0;
  ModelConfig model;
  std::string_view dtype = "f32";    // of activations
  std::uint64_t sequence = 0;        // T
  std::uint64_t leaf_sequences = 0;  // B
  std::vector<RankRow> ranks;
  std::string data_path = {};
  std::uint64_t train_tokens = 0;
  std::uint64_t train_shards = 0;
  std::uint64_t validation_tokens = 0;
  std::uint64_t first_step = 0;  // where a resumed run goes on
};

/// The lines of the start-up table.
std::vector<std::string> format_startup(const StartupTable& table);

/// Bytes, counts and seconds as people read them: "1.2 GiB", "141.7k", "18h22m".
std::string format_bytes(double bytes);
std::string format_count(double count);
std::string format_duration(double seconds);
/// For what takes a part of a step: "8.3 ms", from a second on "2.41 s".
std::string format_short_time(double seconds);

class Console {
 public:
  using Sink = std::function<void(std::string_view line)>;

  /// Prints progress at most every `every_s` seconds of training. The default sink is the log at
  /// level info, which reaches the console on rank 0 and every rank's log file.
  explicit Console(double every_s);
  Console(double every_s, Sink sink);

  void start(const StartupTable& table);
  /// The first step, then one whenever the time has passed. Throughput is that since the last line,
  /// and so is where the ranks' time went: "(compute 78% comm 17% wait 4% io 1%)".
  void step(const StepRecord& record, const RunLength& length);
  /// best_loss: the lowest before this one, if there was one.
  void evaluation(std::uint64_t step, const Evaluation& evaluation,
                  std::optional<double> best_loss);
  /// Other shares for the ranks from a later step on.
  void planned(const PlanChange& change);
  void sample(std::uint64_t step, std::string_view text);
  void saved(std::uint64_t step, std::uint64_t bytes, double seconds, std::string_view path);
  /// The last step's line if it was not printed, and why the run ends.
  void stopped(std::uint64_t step, std::string_view reason);

 private:
  void print_step(const StepRecord& record, const RunLength& length);
  void print_latest();

  double every_s_;
  Sink sink_;
  double average_ = 0;  // of losses, not yet corrected for its start at 0
  double average_weight_ = 0;
  std::optional<StepRecord> first_;    // of this call of the program
  std::optional<StepRecord> printed_;  // the last that has a line
  std::optional<StepRecord> latest_;
  StepTimes spent_;  // by all ranks, since the last line
  RunLength length_;
};

}  // namespace motley
