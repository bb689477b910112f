// How the fastest plan of a product is found: which are timed, how often, and when one is faster
// beyond doubt. Pure decisions over measured seconds; kernels/gemm_tuner.h measures.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "kernels/gemm_plan.h"

namespace motley::op {

/// Seconds that the product takes with a plan; no value for a plan that cannot be used. Called many
/// times for each.
using MeasurePlan = std::function<std::optional<double>(const GemmPlan&)>;

struct SearchSettings {
  /// A plan that takes this many times as long as the one to beat, at first sight, is dropped.
  double hopeless = 1.25;
  /// Rounds in which all that are left run in turn with the one to beat.
  std::size_t rounds = 7;
  /// A plan must take at most this share of the time of the one to beat, in the median of rounds,
  /// and be faster in all rounds but one: so that another search finds the same.
  double clear = 0.97;
};

/// What a search found.
struct FoundPlan {
  GemmPlan plan;               // the default unless another is clearly faster
  double seconds = 0;          // with `plan`, the median
  double default_seconds = 0;  // with the default, in the same rounds
};

/// Which of `others` is clearly faster than `plan`, if any. `out_of_time` is asked before each
/// round and each first look; what is not decided by then stays as it is.
std::optional<GemmPlan> faster_plan(const GemmPlan& plan, const std::vector<GemmPlan>& others,
                                    const MeasurePlan& measure,
                                    const std::function<bool()>& out_of_time,
                                    const SearchSettings& settings = {});

/// Changes one number of the default after the other to what is clearly faster, and keeps the
/// result if it is clearly faster than the default in a last comparison. No value where the default
/// itself cannot be used, or when time was out before anything was measured.
std::optional<FoundPlan> search_plan(const Device& device, const GemmShape& shape,
                                     const MeasurePlan& measure,
                                     const std::function<bool()>& out_of_time,
                                     const SearchSettings& settings = {});

}  // namespace motley::op
