// Which leaves of a step a rank computes, one by one, and after which of them gradients are summed
// over ranks. A plan (leaf_plan.h) says how many leaves a rank has; here they get their numbers.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "dist/leaf_plan.h"
#include "dist/range.h"

namespace motley {

/// How often ranks sum their gradients.
enum class Dealing {
  once,   // a rank computes all its leaves first; they are neighbours
  rounds  // after each of its leaves; the leaves that ranks compute at the same time are neighbours
};

/// A step's leaves, dealt to ranks in rounds. Gradients are summed over ranks once a round.
struct LeafDeal {
  /// Who computes which leaves in a round, by rank. In the order of hosts, and from round to round,
  /// each range begins where the one before ends; any may be empty.
  using Round = std::vector<Range>;
  std::vector<Round> rounds;
  std::size_t num_leaves = 0;

  /// All leaves of a rank, ascending: the order in which it computes them.
  std::vector<std::size_t> leaves(int rank) const;
};

/// With Dealing::rounds there are as many rounds as the busiest rank has leaves, a rank has at most
/// one leaf in each, and ranks with fewer leaves have them evenly spread, so that nobody waits for
/// long in any round; leaves are numbered round by round, in `order`. Throws ShapeError unless
/// `order` is the one of the plan.
LeafDeal deal_leaves(const LeafPlan& plan, std::span<const int> order, Dealing dealing);

}  // namespace motley
