#include "tensor/tensor.h"

#include <utility>

namespace motley {

Tensor::Tensor(std::shared_ptr<const Lease> lease, std::size_t offset, const Shape& shape,
               Dtype dtype)
    : lease_(std::move(lease)), offset_(offset), shape_(shape), dtype_(dtype) {
  const std::size_t end = checked_mul(checked_add(offset, shape.size()), size_of(dtype));
  require<ShapeError>(lease_ && end <= lease_->bytes(), "tensor.out-of-bounds",
                      "a {} tensor {} at element {} ends at byte {}, but its memory has {}",
                      name_of(dtype), to_string(shape), offset, end, lease_ ? lease_->bytes() : 0);
}

Tensor Tensor::reshape(const Shape& shape) const {
  require<ShapeError>(shape.size() == size(), "tensor.reshape",
                      "{} with {} elements cannot be seen as {} with {}", to_string(shape_), size(),
                      to_string(shape), shape.size());
  Tensor view = *this;
  view.shape_ = shape;
  return view;
}

Tensor Tensor::slice(std::size_t begin, std::size_t end) const {
  require<ShapeError>(shape_.rank() > 0 && begin <= end && end <= shape_[0], "tensor.slice",
                      "rows {} to {} of {} do not exist", begin, end, to_string(shape_));
  const std::size_t row = shape_[0] == 0 ? 0 : size() / shape_[0];
  const std::size_t rows = end - begin;
  Tensor view = *this;
  view.offset_ = offset_ + begin * row;
  switch (shape_.rank()) {
    case 1:
      view.shape_ = {rows};
      break;
    case 2:
      view.shape_ = {rows, shape_[1]};
      break;
    case 3:
      view.shape_ = {rows, shape_[1], shape_[2]};
      break;
    default:
      view.shape_ = {rows, shape_[1], shape_[2], shape_[3]};
  }
  return view;
}

}  // namespace motley
