// What a device reaches at most, measured: the limits that a profile compares kernels with.
#pragma once

#include "tensor/device.h"
#include "tensor/dtype.h"

namespace motley {

/// Per second.
struct Peaks {
  double flops = 0;          // in chains of multiply-adds, all in registers
  Dtype dtype = Dtype::f32;  // of these; bf16 where a CPU's matrix unit is in use
  double bytes = 0;  // read and written by additions of long vectors, far longer than caches are
};

/// Measures both within half a second of device time or so, and some hundred megabytes for that
/// long. Throws DeviceError.
Peaks measure_peaks(Device& device);

}  // namespace motley
