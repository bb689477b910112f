// The two 16-bit real formats on the host: exact widening, narrowing rounded to nearest, ties to
// even. kernels/bf16.clh computes the same bits on devices.
#pragma once

#include <bit>
#include <cstdint>
#include <span>

#include "tensor/dtype.h"

namespace motley {

/// bf16 is the upper half of an f32.
constexpr float f32_from_bf16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

/// Overflow gives infinity; a NaN stays a NaN, made quiet.
constexpr std::uint16_t bf16_from_f32(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);
  const std::uint32_t bias =
      0x7FFFu + ((bits >> 16) & 1u);  // just under half, so that ties go to even
  return static_cast<std::uint16_t>((bits + bias) >> 16);
}

/// An f32 in two halves: the nearest bf16, ties away from zero, and what the f32 has beyond that,
/// a signed number of units in its last place. The two take no more room than the f32, and one of
/// them can be computed with (Kalamkar et al. 2020, "Split-SGD-BF16").
struct SplitFloat {
  std::uint16_t upper = 0;  // bf16
  std::uint16_t rest = 0;   // in two's complement
};
constexpr SplitFloat split_f32(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const bool is_nan = (bits & 0x7FFFFFFFu) > 0x7F800000u;
  const std::uint32_t upper = is_nan ? (bits >> 16) | 0x40u : (bits + 0x8000u) >> 16;
  return {static_cast<std::uint16_t>(upper), static_cast<std::uint16_t>(bits)};
}
/// The same f32 again; a NaN stays some NaN.
constexpr float join_f32(SplitFloat halves) {
  const std::uint32_t borrow = halves.rest >= 0x8000u ? 0x10000u : 0u;
  return std::bit_cast<float>((static_cast<std::uint32_t>(halves.upper) << 16) + halves.rest -
                              borrow);
}

/// IEEE 754 binary16, subnormals included.
constexpr float f32_from_f16(std::uint16_t bits) {
  const std::uint32_t sign = (bits & 0x8000u) << 16;
  const std::uint32_t exponent = (bits >> 10) & 0x1Fu;
  const std::uint32_t fraction = bits & 0x3FFu;
  if (exponent == 0) {  // zero or subnormal: fraction * 2^-24, which f32 holds exactly
    const float magnitude = static_cast<float>(fraction) * (1.0f / 16777216.0f);
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(magnitude) | sign);
  }
  const std::uint32_t wide_exponent = exponent == 0x1Fu ? 0xFFu : exponent + (127u - 15u);
  return std::bit_cast<float>(sign | (wide_exponent << 23) | (fraction << 13));
}

/// Overflow gives infinity; a NaN stays a NaN, made quiet.
constexpr std::uint16_t f16_from_f32(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7FFFFFFFu;
  std::uint32_t half = 0;
  if (magnitude > 0x7F800000u) {
    half = 0x7E00u | ((magnitude >> 13) & 0x1FFu);
  } else if (magnitude >= 0x47800000u) {  // 2^16 and above
    half = 0x7C00u;
  } else if (magnitude >=
             0x38800000u) {  // normal, from 2^-14: rounding may carry into the exponent
    half = (magnitude + 0xFFFu + ((magnitude >> 13) & 1u) - (112u << 23)) >> 13;
  } else if (magnitude >= 0x33000000u) {  // subnormal, from 2^-25, half of the smallest step
    const std::uint32_t significand = (magnitude & 0x7FFFFFu) | 0x800000u;
    const std::uint32_t shift = 126u - (magnitude >> 23);  // 14 .. 24 bits fall off
    const std::uint32_t kept = significand >> shift;
    const std::uint32_t rest = significand & ((1u << shift) - 1u);
    const std::uint32_t tie = 1u << (shift - 1u);
    half = kept + ((rest > tie || (rest == tie && (kept & 1u) != 0)) ? 1u : 0u);
  }
  return static_cast<std::uint16_t>(sign | half);
}

/// values = the f32, f16 or bf16 elements stored in `bytes`, which need not be aligned. Throws
/// ShapeError for another dtype or when the sizes differ.
void convert_to_f32(std::span<float> values, std::span<const std::byte> bytes, Dtype dtype);
/// bytes = `values` stored as f32, f16 or bf16. Throws ShapeError as above.
void convert_from_f32(std::span<std::byte> bytes, std::span<const float> values, Dtype dtype);

}  // namespace motley
