// A tensor: a counted lease on device memory, an offset into it, a shape and an element type.
// Contiguous and row-major, always. A copy is a view of the same memory; data moves only by ops.
#pragma once

#include <cstddef>
#include <memory>

#include "tensor/dtype.h"
#include "tensor/memory.h"
#include "tensor/shape.h"

namespace motley {

class Tensor {
 public:
  /// No memory, no elements.
  Tensor() = default;
  /// A view of `lease` from element `offset` on. Throws ShapeError when it does not fit the lease.
  Tensor(std::shared_ptr<const Lease> lease, std::size_t offset, const Shape& shape, Dtype dtype);

  const Shape& shape() const { return shape_; }
  std::size_t dim(std::size_t i) const { return shape_[i]; }
  /// The number of elements.
  std::size_t size() const { return lease_ ? shape_.size() : 0; }
  std::size_t bytes() const { return size() * size_of(dtype_); }
  Dtype dtype() const { return dtype_; }
  bool empty() const { return !lease_; }

  /// The same elements under another shape of equal size.
  Tensor reshape(const Shape& shape) const;
  /// Elements [begin, end) of the first dimension.
  Tensor slice(std::size_t begin, std::size_t end) const;
  /// All elements in one dimension.
  Tensor flat() const { return reshape({size()}); }

  /// The memory object and where in it, in elements, this tensor starts.
  cl_mem mem() const { return lease_->buffer()(); }
  const cl::Buffer& buffer() const { return lease_->buffer(); }
  std::size_t offset() const { return offset_; }
  /// Null for an empty tensor.
  const std::shared_ptr<const Lease>& lease() const { return lease_; }

 private:
  std::shared_ptr<const Lease> lease_;
  std::size_t offset_ = 0;
  Shape shape_{0};
  Dtype dtype_ = Dtype::f32;
};

}  // namespace motley
