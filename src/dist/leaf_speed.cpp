#include "dist/leaf_speed.h"

#include <algorithm>
#include <limits>

namespace motley {
namespace {

// An exponential average over about 20 steps: the usual 2 / (20 + 1).
constexpr double newest_weight = 2.0 / 21;
// Without leaves for so long, a rank may have changed altogether.
constexpr std::uint64_t forgotten_after = 20;

}  // namespace

void LeafSpeed::observe(std::uint64_t step, double seconds_per_leaf) {
  const bool is_first = !has_begun_;
  const bool begins_anew = step > last_step_ + forgotten_after;
  has_begun_ = true;
  last_step_ = step;
  if (is_first) return;
  if (begins_anew) num_observed_ = 0;
  if (num_observed_ == 0) sum_ = weight_ = 0;
  last_[num_observed_ % last_.size()] = seconds_per_leaf;
  ++num_observed_;
  // The early medians are of fewer than three; so that one bad step at the start does not last,
  // the average is made of them only until three are there.
  if (num_observed_ <= last_.size()) sum_ = weight_ = 0;
  sum_ = (1 - newest_weight) * sum_ + newest_weight * median_of_last();
  weight_ = (1 - newest_weight) * weight_ + newest_weight;
}

double LeafSpeed::seconds() const {
  return is_known() ? sum_ / weight_ : std::numeric_limits<double>::infinity();
}

/// Of two, the lower one: what disturbs a step makes it longer.
double LeafSpeed::median_of_last() const {
  std::array<double, 3> sorted = last_;
  const std::size_t count = std::min(num_observed_, sorted.size());
  std::sort(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(count));
  return sorted[(count - 1) / 2];
}

}  // namespace motley
