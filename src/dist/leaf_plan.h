// Which leaves of a step each rank computes. A plan never changes a result: gradients are summed
// along one tree over leaf indices, whoever computed the leaves.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "dist/range.h"

namespace motley {

/// The leaves of a step, divided between ranks.
struct LeafPlan {
  std::vector<Range> ranges;  // by rank: it computes leaves [begin, end); empty when it has none

  std::size_t num_leaves() const;
  /// Leaves of each rank.
  std::vector<std::size_t> counts() const;
  friend bool operator==(const LeafPlan&, const LeafPlan&) = default;
};

/// Leaves for each rank by counts: counts[r] for rank r, ranges ascending in `order`, which names
/// every rank once. Sorted by host, the leaves of a host are neighbours, and their sum is one value
/// that leaves the host. Throws ShapeError unless `order` is a permutation of all ranks.
LeafPlan plan_of_counts(std::span<const std::size_t> counts, std::span<const int> order);

/// The same with counts that differ by at most one, the first ranks of `order` having more. With
/// fewer leaves than ranks the last ones have none.
LeafPlan even_plan(std::size_t leaves, std::span<const int> order);

/// Throws ShapeError unless the plan's ranges follow each other in `order` from leaf 0 to `leaves`
/// without a gap.
void check_plan(const LeafPlan& plan, std::size_t leaves, std::span<const int> order);

}  // namespace motley
