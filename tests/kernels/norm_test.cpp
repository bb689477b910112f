// Outputs too large for caches are stored past them, which the sizes of other tests never are: the
// same bits, wherever rows start.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/generated.h"
#include "kernels/ops.h"
#include "tensor/device.h"

namespace motley {
namespace {

constexpr std::size_t rows = 21;       // not a multiple of a work-item's
constexpr std::size_t work_items = 3;  // of 8 rows each
constexpr float epsilon = 1e-5f;

class NormPastCaches : public testing::TestWithParam<Dtype> {
 protected:
  Tensor random(const Shape& shape, Dtype dtype, std::uint64_t seed) {
    Tensor values = device_.tensor(shape);
    op::random_uniform(s_, values, Random(seed, Purpose::init));
    if (dtype == Dtype::f32) return values;
    Tensor result = device_.tensor(shape, dtype);
    op::cast(s_, result, values);
    return result;
  }

  std::vector<std::byte> bytes(const Tensor& tensor) {
    std::vector<std::byte> result(tensor.bytes());
    s_.start_read(result, tensor, 0);
    s_.finish();
    return result;
  }

  /// What RMSNorm (without b) or LayerNorm of x writes to a part of memory that starts one row in.
  std::vector<std::byte> normalize(const Tensor& x, const Tensor& w, const Tensor* b,
                                   std::uint32_t past) {
    const auto C = static_cast<std::uint32_t>(x.dim(1));
    Tensor storage = device_.zeros({rows + 2, x.dim(1)}, x.dtype());
    Tensor y = storage.slice(1, rows + 1);
    Tensor mean = device_.tensor({rows});
    Tensor rstd = device_.tensor({rows});
    const Grid grid{.groups = {work_items, 1, 1}};
    const auto N = static_cast<std::uint32_t>(rows);
    if (b == nullptr) {
      launch(
          s_, grid,
          k::rms_norm_fwd_cpu{
              .y = y, .rstd = rstd, .x = x, .w = w, .N = N, .C = C, .eps = epsilon, .past = past});
    } else {
      launch(s_, grid,
             k::layer_norm_fwd_cpu{.y = y,
                                   .mean = mean,
                                   .rstd = rstd,
                                   .x = x,
                                   .w = w,
                                   .b = *b,
                                   .N = N,
                                   .C = C,
                                   .eps = epsilon,
                                   .past = past});
    }
    return bytes(storage);
  }

  Device device_{list_devices().at(0), {.family = KernelFamily::cpu}};
  Stream& s_ = device_.stream();
};

TEST_P(NormPastCaches, GivesTheSameBits) {
  // Rows that all, that only some, and that hardly ever start where they may pass; one with a tail.
  for (const std::size_t C : {64U, 72U, 48U, 33U}) {
    const Tensor x = random({rows, C}, GetParam(), 1);
    const Tensor w = random({C}, Dtype::f32, 2);
    const Tensor b = random({C}, Dtype::f32, 3);
    for (const Tensor* bias : {static_cast<const Tensor*>(nullptr), &b}) {
      const std::vector<std::byte> expected = normalize(x, w, bias, 0);
      EXPECT_EQ(normalize(x, w, bias, 1), expected) << C << " columns";
      EXPECT_NE(expected, std::vector<std::byte>(expected.size()));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Storage, NormPastCaches,
                         testing::Values(Dtype::f32, Dtype::bf16, Dtype::f16),
                         [](const auto& param) { return std::string(name_of(param.param)); });

}  // namespace
}  // namespace motley
