// Devices of one kind multiply alike on all ranks, so that results do not depend on who computes
// what.
#pragma once

#include "dist/communicator.h"
#include "tensor/device.h"

namespace motley {

/// Collective. Finds the device's matrix unit (kernels/matrix_unit.h). Where another rank's device
/// of the same name has another one or does without, this rank does without as well, and says so.
void use_same_matrix_unit(Communicator& comm, Device& device);

}  // namespace motley
