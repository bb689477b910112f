#include "tensor/half.h"

#include <cstring>

#include "tensor/error.h"

namespace motley {
namespace {

void require_fit(std::size_t num_values, std::size_t num_bytes, Dtype dtype) {
  const bool is_real = dtype == Dtype::f32 || dtype == Dtype::f16 || dtype == Dtype::bf16;
  require<ShapeError>(is_real, "dtype.real",
                      "{} elements are no real numbers; f32, f16 or bf16 is needed",
                      name_of(dtype));
  require<ShapeError>(num_bytes % size_of(dtype) == 0 && num_bytes / size_of(dtype) == num_values,
                      "shape.size", "{} bytes of {} do not hold {} values", num_bytes,
                      name_of(dtype), num_values);
}

/// Elements in files are not aligned, so each is copied out rather than pointed at.
template <float (*Widen)(std::uint16_t)>
void widen(std::span<float> values, std::span<const std::byte> bytes) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, bytes.data() + i * sizeof(bits), sizeof(bits));
    values[i] = Widen(bits);
  }
}

template <std::uint16_t (*Narrow)(float)>
void narrow_each(std::span<std::byte> bytes, std::span<const float> values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint16_t bits = Narrow(values[i]);
    std::memcpy(bytes.data() + i * sizeof(bits), &bits, sizeof(bits));
  }
}

}  // namespace

void convert_to_f32(std::span<float> values, std::span<const std::byte> bytes, Dtype dtype) {
  require_fit(values.size(), bytes.size(), dtype);
  if (values.empty()) return;
  if (dtype == Dtype::f32) std::memcpy(values.data(), bytes.data(), bytes.size());
  if (dtype == Dtype::f16) widen<f32_from_f16>(values, bytes);
  if (dtype == Dtype::bf16) widen<f32_from_bf16>(values, bytes);
}

void convert_from_f32(std::span<std::byte> bytes, std::span<const float> values, Dtype dtype) {
  require_fit(values.size(), bytes.size(), dtype);
  if (values.empty()) return;
  if (dtype == Dtype::f32) std::memcpy(bytes.data(), values.data(), bytes.size());
  if (dtype == Dtype::f16) narrow_each<f16_from_f32>(bytes, values);
  if (dtype == Dtype::bf16) narrow_each<bf16_from_f32>(bytes, values);
}

}  // namespace motley
