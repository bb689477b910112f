// Numbers that C++ and Python come to alike, for weights and tokens of tests and benchmarks.
#pragma once

#include <cstdint>

namespace motley::test {

/// The integer hash "lowbias32" (https://nullprogram.com/blog/2018/07/31/) over (stream, i): the
/// same numbers as hashed() of tests/golden/make_figures.py.
inline std::uint32_t hashed(std::uint32_t stream, std::uint32_t i) {
  std::uint32_t x = i + stream * 0x9E3779B1u;
  x = (x ^ (x >> 16)) * 0x7FEB352Du;
  x = (x ^ (x >> 15)) * 0x846CA68Bu;
  return x ^ (x >> 16);
}

}  // namespace motley::test
