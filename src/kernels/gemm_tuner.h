// Finds the fastest plans of products by running them on the device: what `motley tune` and
// device.tune = "auto" do. Ops never time anything.
#pragma once

#include <limits>
#include <span>
#include <vector>

#include "kernels/plan_search.h"
#include "tensor/stream.h"

namespace motley::op {

struct TunedProduct {
  GemmShape shape;
  FoundPlan found;
};

struct TunerSettings {
  /// For all products together; one that has begun is ended in order. What time does not suffice
  /// for is not among the results.
  double budget_s = std::numeric_limits<double>::infinity();
};

/// Whether products like these come out right with a plan: compares one of small integers, whose
/// sums are exact, a few tiles large and with no more k, with a plain loop on the host. Throws
/// DeviceError.
bool is_right(Stream& s, const GemmShape& shape, const GemmPlan& plan);

/// The fastest plans for these shapes, in their order; give the costliest first, for time may run
/// out. A plan is timed after its numbers are found right; one that is wrong or does not compile is
/// left out with a line of the log. The device's own table is as before afterwards.
std::vector<TunedProduct> tune_products(Stream& s, std::span<const GemmShape> shapes,
                                        const TunerSettings& settings = {});

}  // namespace motley::op
