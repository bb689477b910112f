// Whether a device that says it shares the host's memory can work in memory that processes share.
#pragma once

#include <string>

#include "tensor/device.h"

namespace motley {

/// Lets a kernel and the host write in turns to memory that is mapped twice, as by two processes,
/// and says what was wrong; empty: nothing. A few kilobytes and milliseconds. Throws DeviceError
/// when the device refuses the memory.
std::string find_unified_memory_fault(Device& device);

}  // namespace motley
