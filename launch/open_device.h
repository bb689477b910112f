// Opening the OpenCL device that the settings ask for.
#pragma once

#include <memory>

#include "dist/communicator.h"
#include "tensor/device.h"
#include "train/settings.h"

namespace motley::launch {

/// Collective. Places this rank on its cores, picks its device and opens it; warns of what will
/// make it slow. Throws EnvironmentError or ConfigError on every rank when there is no such device.
std::unique_ptr<Device> open_device(Communicator& comm, const DeviceChoiceSettings& settings);

}  // namespace motley::launch
