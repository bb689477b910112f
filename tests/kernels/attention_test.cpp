// What attention and rope promise beyond their OpCases: extreme logits, causality bit for bit, the
// rotary table, and refusal of shapes that do not fit.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "kernels/ops.h"
#include "tensor/device.h"
#include "tensor/random.h"

namespace motley {
namespace {

using Values = std::vector<float>;

/// Two query heads share a key/value head; T is prime and more than one block of either family.
constexpr op::AttentionShape shape{.B = 1, .T = 83, .H = 2, .G = 1, .D = 20};
constexpr std::size_t width = (shape.H + 2 * shape.G) * shape.D;
constexpr std::size_t y_width = shape.H * shape.D;

Values random_values(std::size_t size, std::uint64_t stream, float scale) {
  const Random random(3, Purpose::test, stream);
  Values values(size);
  for (std::size_t i = 0; i < size; ++i) values[i] = scale * (2 * random.uniform(i) - 1);
  return values;
}

struct Result {
  Values y;
  Values dqkv;
};

class Attention : public testing::TestWithParam<KernelFamily> {
 protected:
  Attention()
      : device_(list_devices().at(0), {.family = GetParam(), .fresh_memory = FreshMemory::poison}) {
  }

  Tensor upload(const Shape& of, const Values& values) {
    Tensor tensor = device_.tensor(of);
    device_.stream().write<float>(tensor, values);
    return tensor;
  }

  /// Forward and backward, with dy = y.
  Result run(const Values& qkv_values) {
    Stream& s = device_.stream();
    const Tensor qkv = upload({shape.T, width}, qkv_values);
    Tensor y = device_.tensor({shape.T, y_width});
    Tensor lse = device_.tensor({shape.B, shape.H, shape.T});
    Tensor dqkv = device_.tensor({shape.T, width});
    op::attention(s, y, lse, qkv, shape);
    op::attention_backward(s, dqkv, y, {.y = y, .lse = lse, .qkv = qkv}, shape);
    Result result{Values(shape.T * y_width), Values(shape.T * width)};
    s.read<float>(result.y, y);
    s.read<float>(result.dqkv, dqkv);
    return result;
  }

  Device device_;
};

/// Queries all `query` and keys of alternating sign, so that each logit is +logit or -logit; values
/// random.
Values extreme_qkv(double logit) {
  Values qkv = random_values(shape.T * width, 1, 1.0f);
  // logit = D * a * a / sqrt(D)
  const auto a = static_cast<float>(std::sqrt(logit / std::sqrt(static_cast<double>(shape.D))));
  for (std::size_t t = 0; t < shape.T; ++t) {
    for (std::size_t c = 0; c < (shape.H + shape.G) * shape.D; ++c) {
      const bool is_key = c >= shape.H * shape.D;
      qkv[t * width + c] = is_key && t % 3 == 0 ? -a : a;
    }
  }
  return qkv;
}

TEST_P(Attention, IsExactForExtremeLogits) {
  for (const double logit : {80.0, 10000.0}) {
    const Values qkv = extreme_qkv(logit);
    const Result result = run(qkv);
    // Keys of logit -80 weigh nothing beside any key of logit +80: the rest are averaged.
    for (std::size_t c = 0; c < shape.D; ++c) {
      double total = 0;
      double count = 0;
      for (std::size_t t = 0; t < shape.T; ++t) {
        const double value =
            static_cast<double>(qkv[t * width + (shape.H + shape.G) * shape.D + c]);
        if (t % 3 != 0) {
          total += value;
          ++count;
        }
        const double expected = count > 0 ? total / count : value;
        // Equal logits are made of equal numbers in equal order; what is left is the average's
        // error.
        const double tolerance = std::ldexp(static_cast<double>(shape.T), -24);
        EXPECT_NEAR(static_cast<double>(result.y[t * y_width + c]), expected, tolerance)
            << "position " << t << ", logits +-" << logit;
      }
    }
    for (const float v : result.dqkv) ASSERT_TRUE(std::isfinite(v)) << "logits +-" << logit;
  }
}

TEST_P(Attention, GivesTheFirstPositionItsOwnValueExactly) {
  const Values qkv = random_values(shape.T * width, 2, 3.0f);
  const Result result = run(qkv);
  for (std::size_t h = 0; h < shape.H; ++h) {
    for (std::size_t d = 0; d < shape.D; ++d) {
      EXPECT_EQ(result.y[h * shape.D + d], qkv[(shape.H + shape.G) * shape.D + d]);
    }
  }
}

TEST_P(Attention, LooksAtNoLaterPosition) {
  Values qkv = random_values(shape.T * width, 2, 1.0f);
  const Result before = run(qkv);
  const Values other = random_values(shape.T * width, 4, 50.0f);
  for (const std::size_t changed_from : std::vector<std::size_t>{1, 17, 40, 64, 82}) {
    const auto at = static_cast<std::ptrdiff_t>(changed_from * width);
    std::copy(other.begin() + at, other.end(), qkv.begin() + at);
    const Result after = run(qkv);
    for (std::size_t i = 0; i < changed_from * y_width; ++i) {
      ASSERT_EQ(after.y[i], before.y[i])
          << "position " << i / y_width << " changed with " << changed_from;
    }
    qkv = random_values(shape.T * width, 2, 1.0f);
  }
}

TEST_P(Attention, PassesOnWhatIsNotANumber) {
  Values qkv = random_values(shape.T * width, 2, 1.0f);
  qkv[40 * width] = std::nanf("");  // in query head 0 of position 40
  const Result result = run(qkv);
  EXPECT_TRUE(std::isnan(result.y[40 * y_width]));
  EXPECT_FALSE(std::isnan(result.y[40 * y_width + shape.D])) << "head 1 does not see head 0";
}

TEST_P(Attention, RefusesShapesThatDoNotFit) {
  Stream& s = device_.stream();
  Tensor y = device_.zeros({4, 8});
  Tensor lse = device_.zeros({1, 2, 4});
  Tensor qkv = device_.zeros({4, 16});
  const op::AttentionShape fits{.B = 1, .T = 4, .H = 2, .G = 1, .D = 4};
  op::AttentionShape wrong = fits;
  wrong.G = 0;
  EXPECT_THROW(op::attention(s, y, lse, qkv, wrong), ShapeError);
  wrong = fits;
  wrong.H = 3;
  wrong.G = 2;
  EXPECT_THROW(op::attention(s, y, lse, qkv, wrong), ShapeError);
  wrong = fits;
  wrong.T = 5;
  EXPECT_THROW(op::attention(s, y, lse, qkv, wrong), ShapeError);
  EXPECT_THROW(op::attention(s, y, qkv, qkv, fits), ShapeError);
  EXPECT_THROW(op::attention_backward(s, y, y, {.y = y, .lse = lse, .qkv = qkv}, fits), ShapeError);
  EXPECT_THROW(op::rope(s, qkv, device_.zeros({3, 4}), fits), ShapeError);
  wrong = fits;
  wrong.D = 1;
  EXPECT_THROW(op::rope(s, qkv, device_.zeros({4, 1}), wrong), ShapeError);
}

TEST_P(Attention, TableHoldsCosinesThenSines) {
  const Tensor table = op::rope_table(device_.stream(), 5, 6, 10000.0);
  ASSERT_EQ(table.shape(), (Shape{5, 6}));
  Values values(30);
  device_.stream().read<float>(values, table);
  for (std::size_t t = 0; t < 5; ++t) {
    for (std::size_t i = 0; i < 3; ++i) {
      const double angle = static_cast<double>(t) / std::pow(10000.0, static_cast<double>(i) / 3.0);
      EXPECT_FLOAT_EQ(values[t * 6 + i], static_cast<float>(std::cos(angle)));
      EXPECT_FLOAT_EQ(values[t * 6 + 3 + i], static_cast<float>(std::sin(angle)));
    }
  }
  EXPECT_THROW(op::rope_table(device_.stream(), 5, 3, 10000.0), ShapeError);
}

INSTANTIATE_TEST_SUITE_P(Families, Attention, testing::Values(KernelFamily::cpu, KernelFamily::gpu),
                         [](const auto& row) {
                           return row.param == KernelFamily::cpu ? "cpu" : "gpu";
                         });

/// The cpu family's packed blocks are in local memory.
TEST(AttentionBackward, RefusesHeadsThatTheDeviceHasNoLocalMemoryFor) {
  Device device(list_devices().at(0), {.family = KernelFamily::cpu});
  const std::size_t D = round_up(device.info().local_memory / sizeof(float) / 16, 16);
  const Tensor qkv = device.zeros({1, 3 * D});
  const Tensor y = device.zeros({1, D});
  const Tensor lse = device.zeros({1, 1, 1});
  Tensor dqkv = device.tensor({1, 3 * D});
  try {
    op::attention_backward(device.stream(), dqkv, y, {y, lse, qkv}, {1, 1, 1, 1, D});
    ADD_FAILURE() << "accepted";
  } catch (const DeviceError& error) {
    EXPECT_EQ(error.code(), "device.local-memory");
    EXPECT_NE(std::string(error.what()).find(fmt::format("heads of {} columns", D)),
              std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace motley
