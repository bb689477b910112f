// Which matrix unit of a device products may use: one that is reported, whose kernels compile,
// whose numbers are right, and which is not much slower than doing without.
#pragma once

#include <string_view>

#include "tensor/device.h"
#include "tensor/stream.h"

namespace motley::op {

/// As users know it: "AVX-512 BF16", "tensor cores".
std::string_view name_of(MatrixUnit unit);

/// Whether the processor and the driver say that a unit is there; compiles and runs nothing.
bool is_offered(const DeviceInfo& info, MatrixUnit unit);

/// The unit for this stream's device. Looks on the first call for a device, which takes some
/// milliseconds of its time, and remembers. A unit that fails is a line of the log, not an error.
MatrixUnit find_matrix_unit(Stream& s);

}  // namespace motley::op
