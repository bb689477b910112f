// One training step on all ranks: leaves forward and backward, gradients reduced to their owners,
// the norm and the clipping factor on the device, each owner's update, parameters gathered. Knows
// nothing of files, schedules or the console.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "dist/bucket_reducer.h"
#include "dist/communicator.h"
#include "model/decoder.h"
#include "train/batch.h"
#include "train/optimizer.h"
#include "train/settings.h"

namespace motley {

/// What a step came to, the same on every rank.
struct StepResult {
  double loss = 0;           // mean over the step's tokens
  double gradient_norm = 0;  // of the mean gradient, before clipping
  std::uint64_t tokens = 0;
  std::uint64_t non_finite = 0;  // gradient values; when there are any, nothing was updated
  int first_bad_rank = -1;       // the lowest rank whose owned gradients are not finite
};

/// The parameters of a run on this rank with all that trains them.
class TrainStep {
 public:
  /// Collective. Parameters are zero until initialised or loaded.
  TrainStep(Device& device, Communicator& comm, const ModelConfig& config, Recompute recompute,
            const OptimSettings& settings);

  /// Gives this rank's next leaf.
  using NextLeaf = std::function<Batch()>;
  /// Collective. Computes `num_leaves` leaves here (any number, also none, as long as some rank has
  /// one) and updates all parameters once.
  StepResult run(std::size_t num_leaves, const NextLeaf& next_leaf, const UpdateStep& update);

  /// Collective. Starts the parameters from a seed; rank 0's bits for all.
  void initialize(std::uint64_t seed);
  /// Collective. Rank 0's parameters for all ranks.
  void broadcast_parameters();

  Device& device() { return device_; }
  Communicator& comm() { return comm_; }
  ParamStore& params() { return params_; }
  Decoder& decoder() { return decoder_; }
  Optimizer& optimizer() { return optimizer_; }
  BucketReducer& reducer() { return reducer_; }

 private:
  /// One rank's share of a step's sums.
  struct Sums {
    double loss = 0;
    std::uint64_t tokens = 0;
    float squares = 0;
    float non_finite = 0;
  };

  std::uint64_t accumulate_gradients(std::size_t num_leaves, const NextLeaf& next_leaf);
  Sums read_sums(std::uint64_t tokens);
  StepResult combine(const Sums& mine);

  Device& device_;
  Communicator& comm_;
  OptimSettings settings_;
  ParamStore params_;
  Decoder decoder_;
  BucketReducer reducer_;
  Optimizer optimizer_;
  Tensor loss_sum_;  // [1]
  Tensor squares_;   // [2]: sum of squares and non-finite count of the owned gradients
  Tensor partials_;  // [P, 2]: squares_ of every rank
  Tensor control_;   // [3], see op::UpdateControl
};

/// A micro-batch of the host on the device.
DeviceBatch upload(Device& device, const Batch& batch);

}  // namespace motley
