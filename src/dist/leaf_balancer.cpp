#include "dist/leaf_balancer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "tensor/error.h"

namespace motley {
namespace {

// Less is within the noise of measurements and of predictions.
constexpr double least_gain = 0.04;
// Steps of a rank before its average is trusted.
constexpr std::size_t least_observed = 3;
// One step to measure and one against chance.
constexpr std::uint64_t steps_of_measuring = 2;
// What measuring ranks without leaves may cost.
constexpr double measuring_share = 0.01;
constexpr double comm_newest_weight = 2.0 / 21;
// Beyond this, equal neighbours are counted.
constexpr std::size_t ranks_spelled_out = 8;

/// Finds the rank whose time is furthest above the mean of those that have leaves.
void find_excess(PlanChange& change, const LeafPlan& plan, const LeafCosts& costs) {
  double sum = 0;
  double most = 0;
  double num_busy = 0;
  for (std::size_t r = 0; r < plan.ranges.size(); ++r) {
    if (plan.ranges[r].empty()) continue;
    const double busy = static_cast<double>(plan.ranges[r].size()) * costs.leaf_seconds[r];
    sum += busy;
    ++num_busy;
    if (busy <= most) continue;
    most = busy;
    change.rank = static_cast<int>(r);
  }
  change.excess = most * num_busy / sum - 1;
}

}  // namespace

std::string format_leaves(const LeafPlan& plan) {
  const std::vector<std::size_t> counts = plan.counts();
  if (counts.size() <= ranks_spelled_out) return fmt::format("{}", fmt::join(counts, "+"));
  std::vector<std::string> runs;
  for (std::size_t first = 0; first < counts.size();) {
    std::size_t end = first;
    while (end < counts.size() && counts[end] == counts[first]) ++end;
    runs.push_back(fmt::format("{} x {}", end - first, counts[first]));
    first = end;
  }
  return fmt::format("{}", fmt::join(runs, " + "));
}

LeafBalancer::LeafBalancer(Communicator& comm, std::vector<int> order, std::size_t leaves,
                           std::uint64_t first_step, const BalanceOptions& options)
    : comm_(comm),
      order_(std::move(order)),
      leaves_(leaves),
      options_(options),
      schedule_(first_step, even_plan(leaves, order_)),
      speeds_(order_.size()) {
  require<ShapeError>(order_.size() == static_cast<std::size_t>(comm.size()), "leaf-plan.order",
                      "an order of {} ranks was given to a job of {}", order_.size(), comm.size());
}

std::optional<PlanChange> LeafBalancer::after_step(std::uint64_t steps_done,
                                                   std::span<const RankWork> work) {
  if (comm_.size() == 1 || options_.replan_every == 0) return std::nullopt;
  if (comm_.rank() == 0) observe(steps_done, work);
  // All ranks know when it is time, for none of this differs between them.
  const std::uint64_t first_step = steps_done + options_.steps_ahead;
  if (steps_done % options_.replan_every != 0 || first_step < measuring_until_) return std::nullopt;
  std::optional<PlanChange> change;
  if (comm_.rank() == 0) change = decide(steps_done);
  share(first_step, change);
  schedule_.forget_before(steps_done);
  return change;
}

void LeafBalancer::observe(std::uint64_t steps_done, std::span<const RankWork> work) {
  double comm_seconds = 0;
  for (std::size_t r = 0; r < speeds_.size(); ++r) {
    comm_seconds += work[r].comm_seconds / static_cast<double>(speeds_.size());
    const auto num_leaves = static_cast<double>(work[r].leaves);
    if (work[r].leaves > 0) speeds_[r].observe(steps_done, work[r].leaf_seconds / num_leaves);
  }
  comm_seconds_ = (1 - comm_newest_weight) * comm_seconds_ + comm_newest_weight * comm_seconds;
  comm_weight_ = (1 - comm_newest_weight) * comm_weight_ + comm_newest_weight;
}

std::optional<PlanChange> LeafBalancer::decide(std::uint64_t steps_done) const {
  PlanChange base;
  base.step = steps_done;
  base.first_step = steps_done + options_.steps_ahead;
  const LeafPlan current = schedule_.plan(base.first_step);
  LeafCosts costs;
  for (std::size_t r = 0; r < speeds_.size(); ++r) {
    const bool has_leaves = !current.ranges[r].empty();
    if (has_leaves && speeds_[r].num_observed() < least_observed) return std::nullopt;
    costs.leaf_seconds.push_back(speeds_[r].seconds());
  }
  base.leaf_seconds = costs.leaf_seconds;
  // Each node is exchanged once before the sum and the parameters once after it, all of one size.
  costs.node_seconds = comm_seconds_ / comm_weight_ / static_cast<double>(most_nodes(current) + 1);
  std::optional<PlanChange> change = improve(base, current, costs);
  return change ? change : measure(base, current, costs);
}

std::optional<PlanChange> LeafBalancer::improve(const PlanChange& base, const LeafPlan& current,
                                                const LeafCosts& costs) const {
  PlanChange change = base;
  change.plan = choose_plan(costs, leaves_, order_);
  const double now = predicted_seconds(current, costs);
  const double then = predicted_seconds(change.plan, costs);
  // This also excludes times of 0, which are no measurements.
  if (!(now - then > least_difference && now > then * (1 + least_gain))) return std::nullopt;
  change.gain = now / then - 1;
  find_excess(change, current, costs);
  for (std::size_t r = 0; r < current.ranges.size(); ++r) {
    const bool had_leaves = !current.ranges[r].empty();
    const bool has_leaves = !change.plan.ranges[r].empty();
    if (had_leaves && !has_leaves) change.left_out.push_back(static_cast<int>(r));
    if (!had_leaves && has_leaves) change.taken_in.push_back(static_cast<int>(r));
  }
  return change;
}

/// The rank without leaves that has not been measured for the longest time, if it is due. When its
/// leaf takes so much longer than a step that `steps_of_measuring` of them are noticed, it is
/// asked more seldom.
std::optional<PlanChange> LeafBalancer::measure(const PlanChange& base, const LeafPlan& current,
                                                const LeafCosts& costs) const {
  const double step_seconds = predicted_seconds(current, costs);
  std::optional<std::size_t> due;
  for (std::size_t r = 0; r < speeds_.size(); ++r) {
    if (!current.ranges[r].empty()) continue;
    const double lost = std::max(0.0, costs.leaf_seconds[r] / step_seconds - 1);
    double interval = 5 * static_cast<double>(options_.replan_every);
    if (std::isfinite(lost))
      interval = std::max(interval, lost * steps_of_measuring / measuring_share);
    if (!speeds_[r].is_known()) interval = 0;
    if (static_cast<double>(base.step - speeds_[r].last_step()) < interval) continue;
    if (!due || speeds_[r].last_step() < speeds_[*due].last_step()) due = r;
  }
  if (!due) return std::nullopt;
  PlanChange change = base;
  change.reason = PlanReason::measure;
  change.rank = static_cast<int>(*due);
  change.plan = plan_with_one_leaf(change.rank, costs, leaves_, order_);
  return change;
}

/// Rank 0's decision for all: whether there is one, why, and the leaves of each rank.
void LeafBalancer::share(std::uint64_t first_step, const std::optional<PlanChange>& change) {
  enum Kind : std::uint64_t { no_change, for_gain, for_measure };
  std::vector<std::uint64_t> message(1 + order_.size(), no_change);
  if (change) {
    message[0] = change->reason == PlanReason::gain ? for_gain : for_measure;
    const std::vector<std::size_t> counts = change->plan.counts();
    std::copy(counts.begin(), counts.end(), message.begin() + 1);
  }
  comm_.broadcast(std::as_writable_bytes(std::span(message)), 0);
  if (message[0] == no_change) return;
  const std::vector<std::size_t> counts(message.begin() + 1, message.end());
  const LeafPlan plan = plan_of_counts(counts, order_);
  check_plan(plan, leaves_, order_);
  const LeafPlan before = schedule_.plan(first_step);
  schedule_.change(first_step, plan);
  if (message[0] == for_gain) return;
  measuring_until_ = first_step + steps_of_measuring;
  schedule_.change(measuring_until_, before);
}

}  // namespace motley
