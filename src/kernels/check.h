// Shape checks shared by the ops. Each names the op, the tensor, what it has and what it should
// have.
#pragma once

#include <string_view>

#include "tensor/error.h"
#include "tensor/tensor.h"

namespace motley::op {

/// Throws ShapeError unless `tensor` has exactly this shape and dtype.
inline void check_tensor(std::string_view op, std::string_view what, const Tensor& tensor,
                         const Shape& shape, Dtype dtype = Dtype::f32) {
  require<ShapeError>(!tensor.empty() && tensor.shape() == shape && tensor.dtype() == dtype,
                      "op.shape", "{}: {} is {} {}, it must be {} {}", op, what,
                      name_of(tensor.dtype()), to_string(tensor.shape()), name_of(dtype),
                      to_string(shape));
}

/// Throws ShapeError unless `tensor` has exactly this shape and is f32, bf16 or f16.
inline void check_real(std::string_view op, std::string_view what, const Tensor& tensor,
                       const Shape& shape) {
  const bool is_half = tensor.dtype() == Dtype::bf16 || tensor.dtype() == Dtype::f16;
  check_tensor(op, what, tensor, shape, is_half ? tensor.dtype() : Dtype::f32);
}

/// Throws ShapeError unless `tensor` has this many dimensions.
inline void check_rank(std::string_view op, std::string_view what, const Tensor& tensor,
                       std::size_t rank) {
  require<ShapeError>(!tensor.empty() && tensor.shape().rank() == rank, "op.shape",
                      "{}: {} is {}, it must have {} dimensions", op, what,
                      to_string(tensor.shape()), rank);
}

}  // namespace motley::op
