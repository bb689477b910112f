// How the devices of a run multiply is settled before its first step and kept with it: devices of
// one kind alike on all ranks, and a resumed run as before.
#pragma once

#include <optional>
#include <vector>

#include "dist/communicator.h"
#include "tensor/device.h"
#include "train/plan_json.h"
#include "train/settings.h"

namespace motley {

struct PlanSettings {
  Tuning tuning = Tuning::load;
  /// The products of a step, the costliest first.
  std::vector<GemmShape> shapes;
  Dtype dtype = Dtype::f32;  // of activations
};

/// Collective. Sets the matrix unit and the plans of this rank's device: those of `stored`, which
/// is what a resumed run's checkpoint says (on rank 0; elsewhere it is not looked at); for kinds of
/// devices of which it says nothing, what the lowest rank with such a device has loaded or found.
/// Returns those of all kinds, for the next checkpoint; the same on every rank.
std::vector<KindPlans> settle_plans(Communicator& comm, Device& device,
                                    const PlanSettings& settings,
                                    const std::optional<std::vector<KindPlans>>& stored);

}  // namespace motley
