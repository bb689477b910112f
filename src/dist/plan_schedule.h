// Which plan holds in which step. The thread that reads ahead asks for steps that have not begun
// while the main thread changes the plans of steps that come after those.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>

#include "dist/leaf_plan.h"

namespace motley {

/// Thread-safe. Steps are counted from 0.
class PlanSchedule {
 public:
  /// `plan` holds from first_step on.
  PlanSchedule(std::uint64_t first_step, LeafPlan plan);

  /// The plan of a step. Throws ShapeError for a step that has been forgotten.
  LeafPlan plan(std::uint64_t step) const;
  /// The same; nothing for a step that has been forgotten: it is over, and who asks so late had no
  /// leaves in it.
  std::optional<LeafPlan> plan_if_kept(std::uint64_t step) const;

  /// `plan` holds from first_step on, in place of what was to hold there. Throws ShapeError when
  /// first_step lies before the last change.
  void change(std::uint64_t first_step, LeafPlan plan);
  /// Steps before this one are over.
  void forget_before(std::uint64_t step);

 private:
  struct Entry {
    std::uint64_t first_step;
    LeafPlan plan;
  };
  const Entry* find(std::uint64_t step) const;

  mutable std::mutex mutex_;
  std::deque<Entry> entries_;  // ascending, never empty
};

}  // namespace motley
