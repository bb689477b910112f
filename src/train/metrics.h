// metrics.jsonl of a run: one JSON object a line for every step and every validation.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "dist/leaf_balancer.h"
#include "dist/straggler_watch.h"
#include "tensor/io.h"
#include "train/evaluate.h"
#include "train/train_step.h"

namespace motley {

/// What a step came to, for the log and the console.
struct StepRecord {
  std::uint64_t step = 0;    // updates done, this one included
  std::uint64_t tokens = 0;  // trained on since the run began
  double seconds = 0;        // spent training since the run began
  double loss = 0;
  double gradient_norm = 0;
  double learning_rate = 0;
  std::uint64_t step_tokens = 0;
  double step_seconds = 0;
  std::optional<float> loss_scale = {};  // of this step, where losses are scaled
  std::uint64_t skipped = 0;             // steps so far that updated nothing for it
  std::vector<RankStep> ranks = {};      // where each rank's time went
};

/// Appends to a run's metrics.jsonl; a line is in the file when the call returns, so that a killed
/// run loses at most the line being written. What the disk refuses is left out, with a warning: no
/// run ends for want of its metrics. For rank 0 alone.
class MetricsLog {
 public:
  /// Opens `path`, keeping only what was recorded up to `first_step`, where the run goes on: later
  /// lines belong to steps that are done again. Lines that are damaged, such as a torn last one,
  /// are dropped with a warning. Throws IoError.
  MetricsLog(const io::Path& path, std::uint64_t first_step);

  /// {"kind": "step", "step", "tokens", "loss", "norm", "lr", "tokens_per_s", "seconds", "ranks"};
  /// and, where losses are scaled, "loss_scale" and "skipped"; a value that is not finite becomes
  /// null. ranks: {"leaves", "compute", "exposed", "wait", "io"}
  /// of each, in seconds.
  void write(const StepRecord& record);
  /// {"kind": "eval", "step", "tokens", "loss", "perplexity", "bits_per_byte"}; tokens: of
  /// validation.
  void write(std::uint64_t step, const Evaluation& evaluation);
  /// {"kind": "plan", "step", "reason", "from", "leaves", "leaf_seconds", "gain"}; from: the first
  /// step of the plan.
  void write(const PlanChange& change);
  /// {"kind": "slow", "step", "rank", "score"}
  void write(std::uint64_t step, const Straggler& straggler);

 private:
  void append(const std::string& line);

  io::File file_;
  std::uint64_t num_refused_ = 0;  // lines since the last that was written
};

}  // namespace motley
