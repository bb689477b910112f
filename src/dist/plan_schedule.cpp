#include "dist/plan_schedule.h"

#include <utility>

#include "tensor/error.h"

namespace motley {

PlanSchedule::PlanSchedule(std::uint64_t first_step, LeafPlan plan)
    : entries_{{first_step, std::move(plan)}} {}

LeafPlan PlanSchedule::plan(std::uint64_t step) const {
  const std::lock_guard lock(mutex_);
  const Entry* entry = find(step);
  require<ShapeError>(entry != nullptr, "leaf-plan.step",
                      "the plan of step {} is asked for; plans are kept from step {} on", step,
                      entries_.front().first_step);
  return entry->plan;
}

std::optional<LeafPlan> PlanSchedule::plan_if_kept(std::uint64_t step) const {
  const std::lock_guard lock(mutex_);
  const Entry* entry = find(step);
  if (entry == nullptr) return std::nullopt;
  return entry->plan;
}

void PlanSchedule::change(std::uint64_t first_step, LeafPlan plan) {
  const std::lock_guard lock(mutex_);
  require<ShapeError>(first_step >= entries_.back().first_step, "leaf-plan.step",
                      "a plan from step {} on cannot follow one from step {} on; plans change in "
                      "the order of steps",
                      first_step, entries_.back().first_step);
  if (entries_.back().first_step == first_step) entries_.pop_back();
  entries_.push_back({first_step, std::move(plan)});
}

void PlanSchedule::forget_before(std::uint64_t step) {
  const std::lock_guard lock(mutex_);
  while (entries_.size() > 1 && entries_[1].first_step <= step) entries_.pop_front();
}

const PlanSchedule::Entry* PlanSchedule::find(std::uint64_t step) const {
  const Entry* found = nullptr;
  for (const Entry& entry : entries_) {
    if (entry.first_step > step) break;
    found = &entry;
  }
  return found;
}

}  // namespace motley
