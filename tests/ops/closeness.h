// How far a number is from what it should be.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

namespace motley::test {

/// What is left of the distance between two numbers after `rounding` of the expected one, relative
/// to it, is allowed for. 0 when both are the same infinity or both are no numbers; infinity when
/// one alone is.
inline double error_of(double actual, double expected, double rounding) {
  if (actual == expected || (std::isnan(actual) && std::isnan(expected))) return 0;
  const double distance = std::abs(actual - expected);
  // std::max(0.0, NaN) is 0: what is not finite must not come to it.
  if (!std::isfinite(distance)) return std::numeric_limits<double>::infinity();
  return std::max(0.0, distance - rounding * std::abs(expected));
}

}  // namespace motley::test
