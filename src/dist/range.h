// A half-open range of elements or of leaves: what one rank owns of something that all ranks share.
#pragma once

#include <algorithm>
#include <cstddef>

namespace motley {

/// The indices begin, begin + 1, ..., end - 1.
struct Range {
  std::size_t begin = 0;
  std::size_t end = 0;

  std::size_t size() const { return end - begin; }
  bool empty() const { return begin == end; }
  friend bool operator==(const Range&, const Range&) = default;
};

/// What two ranges have in common; an empty range that lies within `a` when that is nothing.
inline Range intersect(const Range& a, const Range& b) {
  const std::size_t begin = std::clamp(b.begin, a.begin, a.end);
  return {begin, std::clamp(b.end, begin, a.end)};
}

}  // namespace motley
