#include "tests/ops/closeness.h"

#include <gtest/gtest.h>

namespace motley::test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

TEST(Closeness, IsTheDistance) {
  EXPECT_EQ(error_of(1.5, 1.0, 0), 0.5);
  EXPECT_EQ(error_of(-1.0, 1.0, 0), 2);
  EXPECT_EQ(error_of(3, 3, 0), 0);
}

TEST(Closeness, AllowsForARoundingOfTheExpected) {
  EXPECT_EQ(error_of(4.5, 4.0, 0.125), 0);
  EXPECT_EQ(error_of(5.0, 4.0, 0.125), 0.5);
  EXPECT_EQ(error_of(3.0, -4.0, 0.125), 6.5);
}

TEST(Closeness, TakesNothingForWhatIsNoNumber) {
  for (const double rounding : {0.0, 0.5}) {
    EXPECT_EQ(error_of(nan, 1, rounding), infinity);
    EXPECT_EQ(error_of(1, nan, rounding), infinity);
    EXPECT_EQ(error_of(nan, 0, rounding), infinity);
    EXPECT_EQ(error_of(infinity, nan, rounding), infinity);
  }
  EXPECT_EQ(error_of(nan, nan, 0), 0);
}

TEST(Closeness, TakesAnInfinityForItselfAlone) {
  for (const double rounding : {0.0, 0.5}) {
    EXPECT_EQ(error_of(infinity, 1, rounding), infinity);
    EXPECT_EQ(error_of(1, infinity, rounding), infinity);
    EXPECT_EQ(error_of(-infinity, infinity, rounding), infinity);
    EXPECT_EQ(error_of(infinity, infinity, rounding), 0);
  }
}

}  // namespace
}  // namespace motley::test
