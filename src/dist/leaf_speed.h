// How long a rank needs for a leaf, smoothed over the steps in which it had any.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace motley {

/// Seconds of a step. When ranks differ by less, that is what other threads, interrupts and the
/// clock do to a step and says nothing about devices: it changes no plan and blames nobody.
constexpr double least_difference = 2e-3;

/// Follows a change of speed within some tens of steps and ignores single steps that are out of
/// line: an average with weights that fall by a factor e in ten steps, over medians of three.
class LeafSpeed {
 public:
  /// A step in which the rank computed leaves. The first one is not counted, for it builds kernels;
  /// after a long time without leaves the average begins anew.
  void observe(std::uint64_t step, double seconds_per_leaf);

  /// Whether there is an average.
  bool is_known() const { return weight_ > 0; }
  /// Steps that the average is made of.
  std::size_t num_observed() const { return num_observed_; }
  /// The average; infinite when nothing is known.
  double seconds() const;
  /// The last step that was observed, counted or not; 0 before the first.
  std::uint64_t last_step() const { return last_step_; }

 private:
  double median_of_last() const;

  bool has_begun_ = false;
  std::uint64_t last_step_ = 0;
  std::array<double, 3> last_ = {};  // the newest observations, in turn
  std::size_t num_observed_ = 0;
  double sum_ = 0;
  double weight_ = 0;
};

}  // namespace motley
