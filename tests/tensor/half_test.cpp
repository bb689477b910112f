#include "tensor/half.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "tensor/error.h"

namespace motley {
namespace {

struct Format {
  const char* name;
  float (*widen)(std::uint16_t);
  std::uint16_t (*narrow)(float);
  std::uint16_t infinity;  // the bits; smaller ones are the finite numbers in order
  double beyond;           // what would follow the largest finite number if the exponent went on
};

class Half : public testing::TestWithParam<Format> {};

TEST_P(Half, ReturnsEveryValueAfterWidening) {
  const Format& format = GetParam();
  for (unsigned bits = 0; bits < 0x10000u; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float wide = format.widen(half);
    if (std::isnan(wide)) {
      EXPECT_TRUE(std::isnan(format.widen(format.narrow(wide)))) << bits;
      EXPECT_EQ(std::signbit(wide), (bits & 0x8000u) != 0) << bits;
    } else {
      ASSERT_EQ(format.narrow(wide), half) << bits;
    }
  }
}

// Between each two neighbours: just below the middle, the middle and just above it, of both signs.
TEST_P(Half, RoundsToNearestWithTiesToEven) {
  const Format& format = GetParam();
  for (std::uint16_t low = 0; low < format.infinity; ++low) {
    const auto high = static_cast<std::uint16_t>(low + 1);
    const double above = high == format.infinity ? format.beyond : format.widen(high);
    const auto middle = static_cast<float>((static_cast<double>(format.widen(low)) + above) / 2);
    const std::uint16_t even = (low & 1u) == 0 ? low : high;
    for (const unsigned sign : {0u, 0x8000u}) {
      const float factor = sign == 0 ? 1.0f : -1.0f;
      ASSERT_EQ(format.narrow(factor * std::nextafter(middle, 0.0f)), low | sign) << low;
      ASSERT_EQ(format.narrow(factor * middle), even | sign) << low;
      const float inf = std::numeric_limits<float>::infinity();
      ASSERT_EQ(format.narrow(factor * std::nextafter(middle, inf)), high | sign) << low;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, Half,
                         testing::Values(Format{"f16", f32_from_f16, f16_from_f32, 0x7C00, 65536.0},
                                         Format{"bf16", f32_from_bf16, bf16_from_f32, 0x7F80,
                                                0x1p128}),
                         [](const auto& format) { return std::string(format.param.name); });

TEST(Half, KnowsKnownValues) {
  EXPECT_EQ(f16_from_f32(1.0f), 0x3C00);
  EXPECT_EQ(f16_from_f32(65504.0f), 0x7BFF);
  EXPECT_EQ(f16_from_f32(-2.0f), 0xC000);
  EXPECT_EQ(f32_from_f16(0x0001), 0x1p-24f);
  EXPECT_EQ(bf16_from_f32(1.0f), 0x3F80);
  EXPECT_EQ(f16_from_f32(std::numeric_limits<float>::max()), 0x7C00);
  EXPECT_EQ(bf16_from_f32(std::numeric_limits<float>::max()), 0x7F80);
  EXPECT_EQ(f16_from_f32(std::numeric_limits<float>::denorm_min()), 0x0000);
}

TEST(SplitFloat, GivesTheNearestAndAllOfIt) {
  for (std::uint64_t i = 0; i < 0x10000; ++i) {
    // Every upper half, with lower halves from everywhere and those around the middle.
    for (const std::uint32_t low : {0u, 1u, 0x7FFFu, 0x8000u, 0x8001u, 0xFFFFu,
                                    static_cast<std::uint32_t>(i * 40503u) & 0xFFFFu}) {
      const auto bits = static_cast<std::uint32_t>(i << 16) | low;
      const auto value = std::bit_cast<float>(bits);
      const SplitFloat halves = split_f32(value);
      if (std::isnan(value)) {
        EXPECT_TRUE(std::isnan(f32_from_bf16(halves.upper)) && std::isnan(join_f32(halves)))
            << bits;
        continue;
      }
      ASSERT_EQ(std::bit_cast<std::uint32_t>(join_f32(halves)), bits);
      if (low != 0x8000u) {
        ASSERT_EQ(halves.upper, bf16_from_f32(value)) << bits;
      } else {  // ties away from zero
        ASSERT_EQ(halves.upper, (i + 1) & 0xFFFF) << bits;
      }
    }
  }
}

TEST(Half, ConvertsUnalignedBytes) {
  const std::vector<float> values{1.0f, -0.5f, 3.0f};
  for (const Dtype dtype : {Dtype::f32, Dtype::f16, Dtype::bf16}) {
    std::vector<std::byte> bytes(3 * size_of(dtype) + 1);
    const std::span<std::byte> odd = std::span(bytes).subspan(1);
    convert_from_f32(odd, values, dtype);
    std::vector<float> back(3);
    convert_to_f32(back, odd, dtype);
    EXPECT_EQ(back, values);
  }
}

TEST(Half, RefusesWhatDoesNotFit) {
  std::array<std::byte, 8> bytes{};
  std::array<float, 4> values{};
  EXPECT_THROW(convert_to_f32(values, bytes, Dtype::f32), ShapeError);
  EXPECT_THROW(convert_to_f32(values, std::span(bytes).first(7), Dtype::f16), ShapeError);
  EXPECT_THROW(convert_from_f32(bytes, values, Dtype::u16), ShapeError);
  EXPECT_NO_THROW(convert_from_f32(bytes, values, Dtype::bf16));
  EXPECT_NO_THROW(convert_to_f32({}, {}, Dtype::f32));
}

}  // namespace
}  // namespace motley
