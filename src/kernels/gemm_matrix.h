// Products of bf16 by the matrix units of GPUs.
#pragma once

#include "kernels/gemm.h"

namespace motley::op {

/// Products by a GPU's unit; takes every problem, and rounds factors that are f32. Throws
/// DeviceError where the device's compiler does not know the unit. `unit` is one of a GPU.
const GemmProvider& matrix_unit_gemm(MatrixUnit unit);

/// The same kernels, with the unit's instructions computed from their documentation, lane by lane,
/// on any device: for tests.
const GemmProvider& emulated_matrix_unit_gemm(MatrixUnit unit);

}  // namespace motley::op
