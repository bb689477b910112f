// What the ops over a packed qkv check alike.
#pragma once

#include <string_view>

#include "kernels/ops.h"
#include "tensor/checked.h"
#include "tensor/error.h"

namespace motley::op {

/// Throws ShapeError unless there are heads, each of some width, and groups divide them.
inline void check_attention_shape(std::string_view op, const AttentionShape& shape) {
  require<ShapeError>(shape.D > 0 && shape.G > 0 && shape.H > 0 && shape.H % shape.G == 0,
                      "op.shape",
                      "{}: H = {}, G = {}, D = {}; they must be positive and G must divide H", op,
                      shape.H, shape.G, shape.D);
}

/// The columns of a packed qkv: (H + 2G) * D.
inline std::size_t qkv_width(const AttentionShape& shape) {
  return checked_mul(checked_add(shape.H, checked_mul(shape.G, 2)), shape.D);
}

}  // namespace motley::op
