#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "tensor/checked.h"

namespace motley {
namespace {

constexpr double seconds_in_minute = 60;

/// The part of [first, last] that lies before `step`; all of an empty range, nothing of an endless
/// one.
double part_done(double step, double first, double last) {
  if (last <= first) return 1;
  if (std::isinf(last)) return 0;
  return std::clamp((step - first) / (last - first), 0.0, 1.0);
}

}  // namespace

RunLength run_length(const TrainSettings& limits, std::uint64_t tokens_per_step,
                     const TrainProgress& progress) {
  RunLength length;
  if (limits.steps > 0) length.steps = static_cast<double>(limits.steps);
  if (limits.tokens > 0) {
    const auto steps = static_cast<double>(ceil_div(limits.tokens, tokens_per_step));
    length.steps = std::min(length.steps, steps);
  }
  if (limits.minutes > 0 && progress.seconds > 0) {
    const double limit_s = limits.minutes * seconds_in_minute;
    const double steps = static_cast<double>(progress.step) * limit_s / progress.seconds;
    length.is_estimate = steps < length.steps;
    length.steps = std::min(length.steps, steps);
  }
  return length;
}

bool is_finished(const TrainSettings& limits, const TrainProgress& progress) {
  return (limits.steps > 0 && progress.step >= limits.steps) ||
         (limits.tokens > 0 && progress.tokens >= limits.tokens) ||
         (limits.minutes > 0 && progress.seconds >= limits.minutes * seconds_in_minute);
}

double learning_rate(const OptimSettings& settings, std::uint64_t steps_done, double total_steps) {
  const auto step = static_cast<double>(steps_done);
  const auto warmup = static_cast<double>(settings.warmup);
  const double peak = settings.lr;
  if (steps_done < settings.warmup) return peak * (step + 1) / warmup;

  const double least = peak * settings.min_lr_ratio;
  const double done = part_done(step, warmup, total_steps);
  switch (settings.schedule) {
    case ScheduleKind::cosine:
      return least + 0.5 * (1 + std::cos(std::numbers::pi * done)) * (peak - least);
    case ScheduleKind::linear:
      return peak - done * (peak - least);
    case ScheduleKind::constant:
      return peak;
    case ScheduleKind::wsd: {
      const double decay_start = std::floor((1 - settings.decay_fraction) * total_steps);
      if (step < decay_start) return peak;
      return least + (1 - std::sqrt(part_done(step, decay_start, total_steps))) * (peak - least);
    }
  }
  return peak;
}

}  // namespace motley
