// The extents of a tensor: at most four, row-major, with checked arithmetic.
#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <string>

#include "tensor/checked.h"

namespace motley {

class Shape {
 public:
  static constexpr std::size_t max_rank = 4;

  Shape() = default;
  /// Throws ShapeError for more than four extents or when their product overflows.
  Shape(std::initializer_list<std::size_t> extents)
      : Shape(std::span(extents.begin(), extents.size())) {}
  explicit Shape(std::span<const std::size_t> extents) {
    require<ShapeError>(extents.size() <= max_rank, "shape.rank",
                        "a shape has at most {} dimensions, {} were given", max_rank,
                        extents.size());
    for (const std::size_t extent : extents) extents_[rank_++] = extent;
    size_ = 1;
    for (const std::size_t extent : extents) size_ = checked_mul(size_, extent);
  }

  std::size_t rank() const { return rank_; }
  /// The number of elements; 1 for rank 0.
  std::size_t size() const { return size_; }
  std::size_t operator[](std::size_t i) const {
    assert(i < rank_);
    return extents_[i];
  }
  std::size_t back() const {
    assert(rank_ > 0);
    return extents_[rank_ - 1];
  }
  const std::size_t* begin() const { return extents_.data(); }
  const std::size_t* end() const { return extents_.data() + rank_; }

  bool operator==(const Shape&) const = default;

 private:
  std::array<std::size_t, max_rank> extents_{};
  std::size_t rank_ = 0;
  std::size_t size_ = 1;
};

/// "[2, 3]"
inline std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (const std::size_t extent : shape) {
    if (text.size() > 1) text += ", ";
    text += std::to_string(extent);
  }
  return text + "]";
}

}  // namespace motley
