#include "dist/leaf_planner.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <queue>
#include <tuple>
#include <utility>

#include "dist/tree_sum.h"
#include "tensor/error.h"

namespace motley {
namespace {

// A plan with fewer nodes is preferred if its computation is at most so much longer.
constexpr double tie = 0.03;
// The search for few nodes looks at ranks x leaves x leaves of a rank; beyond this it is left out.
constexpr std::size_t max_search = std::size_t{1} << 20;

double busy_seconds(std::size_t leaves, double leaf_seconds) {
  return leaves == 0 ? 0 : static_cast<double>(leaves) * leaf_seconds;
}

double longest(std::span<const std::size_t> counts, const LeafCosts& costs) {
  double seconds = 0;
  for (std::size_t r = 0; r < counts.size(); ++r)
    seconds = std::max(seconds, busy_seconds(counts[r], costs.leaf_seconds[r]));
  return seconds;
}

/// Adds `leaves` to counts, each to the rank that finishes first with it; of equal ones to the
/// first in order.
void hand_out(std::vector<std::size_t>& counts, std::size_t leaves, const LeafCosts& costs,
              std::span<const int> order) {
  using Offer = std::tuple<double, std::size_t, std::size_t>;  // end, place in order, rank
  std::priority_queue<Offer, std::vector<Offer>, std::greater<>> offers;
  const auto offer = [&](std::size_t place) {
    const auto rank = static_cast<std::size_t>(order[place]);
    const double end = busy_seconds(counts[rank] + 1, costs.leaf_seconds[rank]);
    if (std::isfinite(end)) offers.emplace(end, place, rank);
  };
  for (std::size_t place = 0; place < order.size(); ++place) offer(place);
  for (std::size_t i = 0; i < leaves; ++i) {
    require<ShapeError>(!offers.empty(), "leaf-plan.costs",
                        "no rank of {} has a known time for a leaf; measure one first",
                        counts.size());
    const auto [end, place, rank] = offers.top();
    offers.pop();
    ++counts[rank];
    offer(place);
  }
}

/// What a plan's ranges look like, or those of its first ranks; less is better, from top to bottom.
struct Shape {
  std::size_t most_nodes = std::numeric_limits<std::size_t>::max();  // of one rank
  std::size_t idle_ranks = 0;                                        // that have time for a leaf
  std::size_t all_nodes = 0;
  friend bool operator==(const Shape&, const Shape&) = default;
  friend bool operator<(const Shape& a, const Shape& b) {
    return std::tie(a.most_nodes, a.idle_ranks, a.all_nodes) <
           std::tie(b.most_nodes, b.idle_ranks, b.all_nodes);
  }
};

/// Of all plans that end within `limit` seconds of computation, the one of the best shape; by
/// dynamic programming over where each rank's leaves end. Requires that there is such a plan.
class BestShape {
 public:
  BestShape(const LeafCosts& costs, std::size_t leaves, std::span<const int> order, double limit)
      : leaves_(leaves), order_(order) {
    for (const int rank : order) {
      const double most = std::floor(limit / costs.leaf_seconds[static_cast<std::size_t>(rank)]);
      most_.push_back(most >= static_cast<double>(leaves) ? leaves
                                                          : static_cast<std::size_t>(most));
    }
  }

  std::size_t work() const {
    std::size_t work = 0;
    for (const std::size_t most : most_) work += (most + 1) * (leaves_ + 1);
    return work;
  }

  LeafPlan plan() const {
    std::vector<std::vector<std::size_t>> chosen;  // by place: its leaves, by where they end
    std::vector<Shape> best(leaves_ + 1);
    best[0] = {0, 0, 0};
    for (const std::size_t most : most_) {
      std::vector<Shape> next(leaves_ + 1);
      std::vector<std::size_t> own(leaves_ + 1, 0);
      for (std::size_t begin = 0; begin <= leaves_; ++begin) {
        if (best[begin] != Shape{}) extend(next, own, best[begin], begin, most);
      }
      best = std::move(next);
      chosen.push_back(std::move(own));
    }
    std::vector<std::size_t> counts(order_.size());
    std::size_t end = leaves_;
    for (std::size_t place = order_.size(); place-- > 0;) {
      counts[static_cast<std::size_t>(order_[place])] = chosen[place][end];
      end -= chosen[place][end];
    }
    return plan_of_counts(counts, order_);
  }

 private:
  /// Tries all numbers of leaves for a rank whose leaves begin at `begin`, after ranks of a shape.
  void extend(std::vector<Shape>& next, std::vector<std::size_t>& own, const Shape& before,
              std::size_t begin, std::size_t most) const {
    for (std::size_t count = 0; count <= std::min(most, leaves_ - begin); ++count) {
      const std::size_t nodes = maximal_nodes({begin, begin + count}, leaves_).size();
      const std::size_t idle = count == 0 && most > 0 ? 1 : 0;
      const Shape shape{std::max(before.most_nodes, nodes), before.idle_ranks + idle,
                        before.all_nodes + nodes};
      if (!(shape < next[begin + count])) continue;
      next[begin + count] = shape;
      own[begin + count] = count;
    }
  }

  std::size_t leaves_;
  std::span<const int> order_;
  std::vector<std::size_t> most_;  // leaves that each place has time for
};

}  // namespace

std::size_t most_nodes(const LeafPlan& plan) {
  const std::size_t leaves = plan.num_leaves();
  std::size_t most = 1;
  for (const Range& range : plan.ranges) most = std::max(most, maximal_nodes(range, leaves).size());
  return most;
}

double predicted_seconds(const LeafPlan& plan, const LeafCosts& costs) {
  return longest(plan.counts(), costs) +
         costs.node_seconds * static_cast<double>(most_nodes(plan) - 1);
}

LeafPlan choose_plan(const LeafCosts& costs, std::size_t leaves, std::span<const int> order) {
  std::vector<std::size_t> counts(costs.leaf_seconds.size(), 0);
  static_cast<void>(plan_of_counts(counts, order));  // checks the order
  hand_out(counts, leaves, costs, order);
  LeafPlan best = plan_of_counts(counts, order);
  // Rounding must not exclude the plan just found.
  const double shortest = longest(counts, costs) * (1 + 1e-9);
  const double saved = costs.node_seconds * static_cast<double>(most_nodes(best) - 1);
  for (const double limit : {shortest, std::max(shortest * (1 + tie), shortest + saved)}) {
    const BestShape search(costs, leaves, order, limit);
    if (search.work() > max_search) continue;
    const LeafPlan plan = search.plan();
    const double margin = most_nodes(plan) < most_nodes(best) ? 1 + tie : 1;
    if (predicted_seconds(plan, costs) <= predicted_seconds(best, costs) * margin) best = plan;
  }
  return best;
}

LeafPlan plan_with_one_leaf(int rank, const LeafCosts& costs, std::size_t leaves,
                            std::span<const int> order) {
  std::vector<std::size_t> counts(costs.leaf_seconds.size(), 0);
  require<ShapeError>(rank >= 0 && static_cast<std::size_t>(rank) < counts.size() && leaves > 0,
                      "leaf-plan.rank", "rank {} of {} cannot have one of {} leaves", rank,
                      counts.size(), leaves);
  LeafCosts others = costs;
  others.leaf_seconds[static_cast<std::size_t>(rank)] = std::numeric_limits<double>::infinity();
  hand_out(counts, leaves - 1, others, order);
  counts[static_cast<std::size_t>(rank)] = 1;
  return plan_of_counts(counts, order);
}

}  // namespace motley
