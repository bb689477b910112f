// A micro-batch on the device, in the form the model reads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/ops.h"
#include "kernels/token_index.h"
#include "tensor/device.h"

namespace motley {

/// B sequences of T tokens and what should follow each.
struct DeviceBatch {
  std::size_t B = 0;
  std::size_t T = 0;
  Tensor tokens;   // [B*T] i32
  Tensor targets;  // [B*T] i32; op::ignored_target counts for nothing
  op::TokenIndex index;
};

/// Puts a micro-batch on the device. tokens, targets: [B*T].
DeviceBatch upload_batch(Device& device, std::size_t B, std::size_t T,
                         std::span<const std::int32_t> tokens,
                         std::span<const std::int32_t> targets, const HostTokenIndex& index);

}  // namespace motley
