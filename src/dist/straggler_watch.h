// Finds ranks that keep the others waiting step after step, although leaves were planned by speed:
// where plans are fixed, or where one leaf is the least a rank can have.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "dist/leaf_balancer.h"

namespace motley {

/// A rank that lags behind.
struct Straggler {
  int rank = 0;
  double score = 0;  // median busy time of the other ranks that have leaves, over its own
};

/// Looks at windows of 20 steps. A rank whose score is below 0.7 in three windows in a row is
/// reported once, and again only after a window in which it kept up. Differences that can be noise
/// (least_difference) do not count.
class StragglerWatch {
 public:
  static constexpr std::size_t window = 20;  // steps
  static constexpr double low_score = 0.7;
  static constexpr std::size_t patience = 3;  // windows

  explicit StragglerWatch(std::size_t num_ranks);

  /// What the ranks did in a step. Returns those to be reported now.
  std::vector<Straggler> observe(std::span<const RankWork> work);

 private:
  std::vector<Straggler> end_window();

  std::vector<double> busy_;      // in this window, seconds
  std::size_t steps_ = 0;         // of this window
  std::vector<std::size_t> low_;  // windows in a row in which the rank lagged behind
};

}  // namespace motley
