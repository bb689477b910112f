// The clock for measuring how long something takes: it never jumps.
#pragma once

#include <chrono>

namespace motley {

using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Seconds since a moment that is the same for all of this process.
inline double monotonic_seconds() {
  return seconds_since(Clock::time_point());
}

}  // namespace motley
