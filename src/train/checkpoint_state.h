// state.json of a checkpoint: where a run stood and what model it trained.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/config.h"
#include "tensor/io.h"
#include "train/loss_scale.h"
#include "train/plan_json.h"

namespace motley {

/// Where a run stands. Sample order and random numbers depend on the step alone, so this is all.
struct TrainProgress {
  std::uint64_t step = 0;                // updates done
  std::uint64_t tokens = 0;              // trained on so far
  double seconds = 0;                    // spent training, over all resumes
  std::optional<double> best_loss = {};  // lowest validation loss so far
  std::uint64_t evaluations_without_gain = 0;
  std::optional<LossScale> loss_scale = {};  // of a run that has or had one
};

struct CheckpointState {
  static constexpr int format_version = 1;

  TrainProgress progress;
  ModelConfig model;
  std::string optimizer;            // "adamw"
  std::string device;               // what computed it; other devices may continue with other bits
  std::vector<KindPlans> products;  // how each kind of its devices multiplied

  /// Writes state.json, which must not exist, into a checkpoint's directory.
  void write(const io::Path& checkpoint) const;
  /// Reads a checkpoint's state after verifying the file's hash: a run makes room for what it says.
  /// Throws CheckpointError naming the file and the field.
  static CheckpointState read(const io::Path& checkpoint);
};

}  // namespace motley
