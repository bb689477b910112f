// The learning rate over a run, and how long a run is. With limits on steps or tokens both are
// functions of the step alone, so a resumed run gets the same bits; with a limit on time the length
// is estimated from the time that has passed, so that the rate reaches its end with the run on any
// machine.
#pragma once

#include <cstdint>
#include <limits>

#include "train/checkpoint_state.h"
#include "train/settings.h"

namespace motley {

/// Steps in a whole run.
struct RunLength {
  double steps = std::numeric_limits<double>::infinity();
  bool is_estimate = false;  // extrapolated from the time spent so far
};

/// The length that follows from the limit which will be reached first. tokens_per_step: over all
/// ranks.
RunLength run_length(const TrainSettings& limits, std::uint64_t tokens_per_step,
                     const TrainProgress& progress);

/// Whether a limit has been reached.
bool is_finished(const TrainSettings& limits, const TrainProgress& progress);

/// The learning rate of the update that follows `steps_done` updates in a run of `total_steps`
/// (infinite: unlimited). Warm-up is linear from lr / warmup to lr; then, over the rest of the run,
/// cosine or linear to lr * min_lr_ratio, constant, or constant and in the last decay_fraction of
/// the run min + (1 - sqrt(part done)) * (lr - min). The formulas are those of llm.c's schedulers.
double learning_rate(const OptimSettings& settings, std::uint64_t steps_done, double total_steps);

}  // namespace motley
