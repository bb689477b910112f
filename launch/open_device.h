// Opening the OpenCL device that the settings ask for.
#pragma once

#include <memory>
#include <vector>

#include "dist/communicator.h"
#include "dist/placement.h"
#include "tensor/device.h"
#include "train/settings.h"

namespace motley::launch {

/// Where this rank runs and on what; nothing is opened yet.
struct PlacedDevice {
  Placement placement;
  DeviceInfo info;
  std::vector<DeviceInfo> devices;  // all of this host
};

/// Collective. Places this rank on its cores and picks its device. Throws EnvironmentError or
/// ConfigError on every rank when there is no such device or two ranks would share one.
PlacedDevice place_device(Communicator& comm, const DeviceChoiceSettings& settings);

/// Refuses a CPU device that the launcher has bound to one core unless settings.one_core allows it,
/// and warns of what will make the device slow.
void check_placed(const PlacedDevice& placed, const DeviceChoiceSettings& settings);

std::unique_ptr<Device> open_placed(const PlacedDevice& placed,
                                    const DeviceChoiceSettings& settings);

/// Collective. All three. Throws on every rank.
std::unique_ptr<Device> open_device(Communicator& comm, const DeviceChoiceSettings& settings);

}  // namespace motley::launch
