// What a device reaches at most, measured: the limits that a profile compares kernels with.
#pragma once

#include "tensor/device.h"

namespace motley {

/// Per second.
struct Peaks {
  double flops = 0;  // in chains of fp32 multiply-adds, all in registers
  double bytes = 0;  // read and written by additions of long vectors, far longer than caches are
};

/// Measures both within half a second of device time or so, and some hundred megabytes for that
/// long. Throws DeviceError.
Peaks measure_peaks(Device& device);

}  // namespace motley
