#include "dist/leaf_deal.h"

#include <algorithm>

#include "tensor/checked.h"

namespace motley {
namespace {

/// How many of `leaves` leaves are over after `round` of `num_rounds` rounds. Rounded up: the first
/// round has all ranks that have leaves, and it is the last ones that are cut off, as the tree of
/// leaves is.
std::size_t leaves_until(std::size_t round, std::size_t leaves, std::size_t num_rounds) {
  return ceil_div(round * leaves, num_rounds);
}

}  // namespace

std::vector<std::size_t> LeafDeal::leaves(int rank) const {
  std::vector<std::size_t> all;
  for (const Round& round : rounds) {
    const Range& range = round[static_cast<std::size_t>(rank)];
    for (std::size_t leaf = range.begin; leaf < range.end; ++leaf) all.push_back(leaf);
  }
  return all;
}

LeafDeal deal_leaves(const LeafPlan& plan, std::span<const int> order, Dealing dealing) {
  LeafDeal deal{.rounds = {}, .num_leaves = plan.num_leaves()};
  check_plan(plan, deal.num_leaves, order);
  if (dealing == Dealing::once) {
    deal.rounds = {plan.ranges};
    return deal;
  }
  const std::vector<std::size_t> counts = plan.counts();
  const std::size_t num_rounds = *std::max_element(counts.begin(), counts.end());
  std::size_t next = 0;
  for (std::size_t round = 0; round < num_rounds; ++round) {
    LeafDeal::Round ranges(counts.size());
    for (const int rank : order) {
      const auto r = static_cast<std::size_t>(rank);
      const std::size_t end = next + leaves_until(round + 1, counts[r], num_rounds) -
                              leaves_until(round, counts[r], num_rounds);
      ranges[r] = {next, end};
      next = end;
    }
    deal.rounds.push_back(std::move(ranges));
  }
  return deal;
}

}  // namespace motley
