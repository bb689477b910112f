// Integer arithmetic that throws instead of wrapping round: sizes come from files and from users.
#pragma once

#include <cstddef>
#include <limits>
#include <type_traits>

#include "tensor/error.h"

namespace motley {

/// a * b. Throws ShapeError when the product does not fit.
inline std::size_t checked_mul(std::size_t a, std::size_t b) {
  std::size_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) {
    fail<ShapeError>("size.overflow", "{} * {} does not fit 64 bits; the sizes given are wrong", a,
                     b);
  }
  return product;
}

/// a + b. Throws ShapeError when the sum does not fit.
inline std::size_t checked_add(std::size_t a, std::size_t b) {
  std::size_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) {
    fail<ShapeError>("size.overflow", "{} + {} does not fit 64 bits; the sizes given are wrong", a,
                     b);
  }
  return sum;
}

/// The value as a To. Throws ShapeError when To cannot hold it.
template <class To, class From>
To narrow(From value) {
  static_assert(std::is_integral_v<To> && std::is_integral_v<From>);
  const auto result = static_cast<To>(value);
  if (static_cast<From>(result) != value || (result < To{}) != (value < From{})) {
    fail<ShapeError>("size.overflow", "{} does not fit the {}-bit number it is stored in", value,
                     8 * sizeof(To));
  }
  return result;
}

/// ceil(a / b) for b > 0.
constexpr std::size_t ceil_div(std::size_t a, std::size_t b) {
  return a / b + (a % b != 0 ? 1 : 0);
}

/// The smallest multiple of b that is at least a.
inline std::size_t round_up(std::size_t a, std::size_t b) {
  return checked_mul(ceil_div(a, b), b);
}

}  // namespace motley
