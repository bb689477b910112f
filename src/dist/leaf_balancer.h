// Keeps every rank as busy as the others although their devices differ and change: measures them as
// they train and plans the leaves of later steps. Plans change speed, never results.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dist/communicator.h"
#include "dist/leaf_planner.h"
#include "dist/leaf_speed.h"
#include "dist/plan_schedule.h"

namespace motley {

/// What a rank did in a step.
struct RankWork {
  std::size_t leaves = 0;
  double leaf_seconds = 0;  // on all its leaves: device and input
  double comm_seconds = 0;  // for messages while nothing was computed, without waiting for others
};

struct BalanceOptions {
  std::uint64_t replan_every = 10;  // steps; 0: the first plan stays
  std::uint64_t steps_ahead = 4;    // how far beyond a step plans may have been used already
};

/// Why a plan changes.
enum class PlanReason {
  gain,    // the step becomes shorter
  measure  // a rank without leaves gets one for two steps, to see whether it has become faster
};

/// A new plan and what it is expected to bring.
struct PlanChange {
  PlanReason reason = PlanReason::gain;
  std::uint64_t step = 0;        // steps done when it was decided
  std::uint64_t first_step = 0;  // counted from 0: the step after `first_step` steps
  LeafPlan plan;
  double gain = 0;    // of the time for leaves and sums; 0.25: a quarter faster
  int rank = 0;       // the one that is furthest from its share now, or the one to be measured
  double excess = 0;  // its busy time over the mean of those that have leaves, less 1
  std::vector<int> left_out;         // ranks that have leaves now and then none
  std::vector<int> taken_in;         // the opposite
  std::vector<double> leaf_seconds;  // by rank; infinite: not known
};

/// "4+4+3+3"; with many ranks "12 x 4 + 4 x 3", neighbours in rank order together.
std::string format_leaves(const LeafPlan& plan);

/// Rank 0 decides, every `replan_every` steps, and tells the others.
///
/// A plan changes when the predicted time of a step, from smoothed times per leaf, falls by more
/// than 4 % and by more than can be noise; then all leaves move at once, for nothing travels with
/// them. A rank that would only delay the others gets no leaves and keeps its last measurement; it
/// is measured again with one leaf for two steps, so seldom that this costs less than 1 % of the
/// time.
class LeafBalancer {
 public:
  /// order: see LeafPlan. Starts with an even plan at first_step.
  LeafBalancer(Communicator& comm, std::vector<int> order, std::size_t leaves,
               std::uint64_t first_step, const BalanceOptions& options);

  /// May be asked from any thread.
  const PlanSchedule& schedule() const { return schedule_; }

  /// Collective, after each step. steps_done: that one included. work: by rank; only rank 0's is
  /// used. Returns the change that was decided, on rank 0 alone.
  std::optional<PlanChange> after_step(std::uint64_t steps_done, std::span<const RankWork> work);

 private:
  void observe(std::uint64_t steps_done, std::span<const RankWork> work);
  std::optional<PlanChange> decide(std::uint64_t steps_done) const;
  std::optional<PlanChange> improve(const PlanChange& base, const LeafPlan& current,
                                    const LeafCosts& costs) const;
  std::optional<PlanChange> measure(const PlanChange& base, const LeafPlan& current,
                                    const LeafCosts& costs) const;
  void share(std::uint64_t first_step, const std::optional<PlanChange>& change);

  Communicator& comm_;
  std::vector<int> order_;
  std::size_t leaves_;
  BalanceOptions options_;
  PlanSchedule schedule_;
  std::uint64_t measuring_until_ = 0;  // the step from which the plan before holds again
  // Rank 0's:
  std::vector<LeafSpeed> speeds_;
  double comm_seconds_ = 0;  // smoothed, of all ranks
  double comm_weight_ = 0;
};

}  // namespace motley
