#include "dist/leaf_plan.h"

#include "dist/shard_plan.h"
#include "tensor/error.h"

namespace motley {
namespace {

void check_order(std::span<const int> order, std::size_t num_ranks) {
  require<ShapeError>(order.size() == num_ranks && num_ranks > 0, "leaf-plan.order",
                      "an order of {} ranks was given for {} ranks; it must name each once",
                      order.size(), num_ranks);
  std::vector<bool> seen(num_ranks, false);
  for (const int rank : order) {
    const auto index = static_cast<std::size_t>(rank);
    require<ShapeError>(rank >= 0 && index < num_ranks && !seen[index], "leaf-plan.order",
                        "rank {} is not one of {} ranks or is named twice in an order of ranks",
                        rank, num_ranks);
    seen[index] = true;
  }
}

}  // namespace

std::size_t LeafPlan::num_leaves() const {
  std::size_t sum = 0;
  for (const Range& range : ranges) sum += range.size();
  return sum;
}

std::vector<std::size_t> LeafPlan::counts() const {
  std::vector<std::size_t> counts;
  counts.reserve(ranges.size());
  for (const Range& range : ranges) counts.push_back(range.size());
  return counts;
}

LeafPlan plan_of_counts(std::span<const std::size_t> counts, std::span<const int> order) {
  check_order(order, counts.size());
  LeafPlan plan{std::vector<Range>(counts.size())};
  std::size_t begin = 0;
  for (const int rank : order) {
    const auto index = static_cast<std::size_t>(rank);
    plan.ranges[index] = {begin, begin + counts[index]};
    begin += counts[index];
  }
  return plan;
}

LeafPlan even_plan(std::size_t leaves, std::span<const int> order) {
  check_order(order, order.size());
  const std::vector<Range> parts = split_evenly(leaves, order.size());
  LeafPlan plan{std::vector<Range>(order.size())};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    plan.ranges[static_cast<std::size_t>(order[i])] = parts[i];
  }
  return plan;
}

void check_plan(const LeafPlan& plan, std::size_t leaves, std::span<const int> order) {
  check_order(order, plan.ranges.size());
  std::size_t end = 0;
  for (const int rank : order) {
    const Range& range = plan.ranges[static_cast<std::size_t>(rank)];
    require<ShapeError>(range.begin == end && range.begin <= range.end, "leaf-plan.gap",
                        "rank {} has leaves [{}, {}) but must begin at {}: leaves are divided "
                        "without gap or overlap in the order of hosts",
                        rank, range.begin, range.end, end);
    end = range.end;
  }
  require<ShapeError>(end == leaves, "leaf-plan.end",
                      "a plan ends with leaf {} of a step of {} leaves; all must be computed", end,
                      leaves);
}

}  // namespace motley
