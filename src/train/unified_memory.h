// Whether a device that says it shares the host's memory can work in memory that processes share.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "tensor/device.h"

namespace motley {

/// Lets a kernel and the host write in turns to memory that is mapped twice, as by two processes,
/// and says what was wrong; empty: nothing. Some hundred kilobytes, for milliseconds. Throws
/// DeviceError when the device refuses the memory.
std::string find_unified_memory_fault(Device& device);

/// The same for given memory: the device works in `near`, which `owner` keeps alive, the host in
/// `far`, which should be the same memory at another address. Equal sizes.
std::string find_unified_memory_fault(Device& device, std::span<float> near,
                                      const std::shared_ptr<const void>& owner,
                                      std::span<float> far);

}  // namespace motley
