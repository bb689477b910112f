#include "dist/straggler_watch.h"

#include <algorithm>

namespace motley {
namespace {

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

StragglerWatch::StragglerWatch(std::size_t num_ranks) : busy_(num_ranks, 0), low_(num_ranks, 0) {}

std::vector<Straggler> StragglerWatch::observe(std::span<const RankWork> work) {
  for (std::size_t r = 0; r < busy_.size(); ++r) busy_[r] += work[r].leaf_seconds;
  if (++steps_ < window) return {};
  steps_ = 0;
  std::vector<Straggler> found = end_window();
  std::fill(busy_.begin(), busy_.end(), 0);
  return found;
}

std::vector<Straggler> StragglerWatch::end_window() {
  std::vector<Straggler> found;
  for (std::size_t r = 0; r < busy_.size(); ++r) {
    std::vector<double> others;
    for (std::size_t other = 0; other < busy_.size(); ++other) {
      if (other != r && busy_[other] > 0) others.push_back(busy_[other]);
    }
    const double noise = least_difference * window;
    const bool is_low = !others.empty() && median(others) < low_score * busy_[r] &&
                        median(others) < busy_[r] - noise;
    low_[r] = is_low ? low_[r] + 1 : 0;
    if (low_[r] == patience) found.push_back({static_cast<int>(r), median(others) / busy_[r]});
  }
  return found;
}

}  // namespace motley
