// The element types of tensors and weight files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace motley {

enum class Dtype { f32, f16, bf16, i32, u32, u16, u8 };

constexpr std::size_t size_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::f32:
    case Dtype::i32:
    case Dtype::u32:
      return 4;
    case Dtype::f16:
    case Dtype::bf16:
    case Dtype::u16:
      return 2;
    case Dtype::u8:
      return 1;
  }
  return 0;
}

constexpr std::string_view name_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::f32:
      return "f32";
    case Dtype::f16:
      return "f16";
    case Dtype::bf16:
      return "bf16";
    case Dtype::i32:
      return "i32";
    case Dtype::u32:
      return "u32";
    case Dtype::u16:
      return "u16";
    case Dtype::u8:
      return "u8";
  }
  return "?";
}

/// Of weights that training computes with, beside activations of a dtype. With f16 they are f32,
/// of which f16 is no half as bf16 is (see split_f32).
constexpr Dtype weight_dtype(Dtype activations) {
  return activations == Dtype::bf16 ? Dtype::bf16 : Dtype::f32;
}

/// The dtype that holds a C++ element type: dtype_of<float> is f32. 16-bit reals travel as
/// uint16_t.
template <class T>
inline constexpr Dtype dtype_of = Dtype::u8;
template <>
inline constexpr Dtype dtype_of<float> = Dtype::f32;
template <>
inline constexpr Dtype dtype_of<std::int32_t> = Dtype::i32;
template <>
inline constexpr Dtype dtype_of<std::uint32_t> = Dtype::u32;
template <>
inline constexpr Dtype dtype_of<std::uint16_t> = Dtype::u16;

}  // namespace motley
