// How many leaves each rank should compute, given how long each needs for one. Pure arithmetic:
// nothing is measured or exchanged here.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "dist/leaf_plan.h"

namespace motley {

/// What a step is predicted from. Times in seconds.
struct LeafCosts {
  /// Of a leaf on each rank: device and input. Infinite: not known, so the rank gets no leaf.
  std::vector<double> leaf_seconds;
  /// What it costs the step when the rank with the most nodes has one more. A rank sends a sum for
  /// each of the largest nodes of the tree of leaves (see tree_sum.h) that lie within its range;
  /// one that is aligned to a power of two is a single node.
  double node_seconds = 0;
};

/// Of the rank that has most; at least 1.
std::size_t most_nodes(const LeafPlan& plan);

/// How long a step takes under a plan, but for what all plans share: the busiest rank's leaves, and
/// the nodes beyond one of the rank that has most.
double predicted_seconds(const LeafPlan& plan, const LeafCosts& costs);

/// The plan of the shortest step. Leaves go one by one to the rank that would finish first, which
/// is best for leaves that are alike; a rank whose one leaf takes longer than the others need for
/// all gets none. Of plans that are as good the one with the fewest nodes is taken, also if its
/// computation is longer by 3 % or by what the nodes save. Throws ShapeError when no rank has a
/// known time or `order` is not one of the ranks.
LeafPlan choose_plan(const LeafCosts& costs, std::size_t leaves, std::span<const int> order);

/// The best plan in which `rank` has exactly one leaf: to measure it. Its own time may be unknown.
LeafPlan plan_with_one_leaf(int rank, const LeafCosts& costs, std::size_t leaves,
                            std::span<const int> order);

}  // namespace motley
