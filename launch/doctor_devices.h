// What `motley doctor` finds out about devices.
#pragma once

#include <string>
#include <vector>

#include "dist/communicator.h"
#include "dist/doctor.h"
#include "launch/open_device.h"

namespace motley::launch {

/// Each device of this host: what it has, whether kernels of ours can be built and give the right
/// results on it, and what its driver is known for.
Findings check_devices(const std::vector<DeviceInfo>& devices, const Announce& announce);

/// GFLOP/s in the largest product of matrices that takes a moment, for simulators are a million
/// times slower than GPUs. Throws DeviceError unless every element of every product is exact.
double measure_speed(const DeviceInfo& info);

/// Whether the directory of built kernels is this user's alone.
Findings check_kernel_cache();

/// This rank's device: its cores or its free memory, and whether it may train there.
Findings check_placement(const PlacedDevice& placed, const DeviceChoiceSettings& settings);

/// Collective. Multiplies the same matrices on every rank's device at once and says how fast each
/// is, which split of a step that suggests, and whether one is slower than its equals. The same
/// findings on every rank. A rank without a device passes null.
Findings check_speeds(Communicator& comm, const PlacedDevice* placed);

}  // namespace motley::launch
