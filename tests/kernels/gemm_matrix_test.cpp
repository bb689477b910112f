// Products by the matrix units of GPUs. The device at hand has none of them, so their instructions
// are computed as the vendors document them; where each lane keeps which element counts all the
// same.
#include "kernels/gemm_matrix.h"

#include <gtest/gtest.h>

#include "kernels/matrix_unit.h"
#include "tests/kernels/gemm_test.h"

namespace motley {
namespace {

using op::Into;
using op::Transpose;

class EmulatedUnit : public testing::TestWithParam<MatrixUnit> {
 protected:
  EmulatedUnit() : device_(open_poisoned(KernelFamily::gpu)) {}

  void expect_right(const ExactProduct& p, const ProductDtypes& dtypes) {
    EXPECT_EQ(multiply(device_, op::emulated_matrix_unit_gemm(GetParam()), p, dtypes),
              expected_product(p, dtypes.c))
        << to_string(p) << ", " << name_of(dtypes.c);
  }

  Device device_;
};

constexpr ProductDtypes all_bf16{.a = Dtype::bf16, .b = Dtype::bf16, .c = Dtype::bf16};
constexpr ProductDtypes into_f32{.a = Dtype::bf16, .b = Dtype::bf16, .c = Dtype::f32};
constexpr ProductDtypes with_f32_weights{.a = Dtype::bf16, .b = Dtype::f32, .c = Dtype::f32};

TEST_P(EmulatedUnit, MultipliesRowsOfWholeVectors) {
  expect_right({8, 24, 40, Transpose::none, Into::replace, false}, into_f32);
  expect_right({72, 136, 104, Transpose::none, Into::accumulate, true}, all_bf16);
  expect_right({64, 48, 72, Transpose::a, Into::accumulate, false}, into_f32);
  expect_right({136, 72, 80, Transpose::b, Into::replace, true}, with_f32_weights);
}

TEST_P(EmulatedUnit, MultipliesOtherRows) {
  expect_right({1, 1, 1, Transpose::none, Into::replace, true}, into_f32);
  expect_right({70, 65, 33, Transpose::none, Into::replace, true}, into_f32);
  expect_right({67, 31, 101, Transpose::a, Into::accumulate, true}, into_f32);
  expect_right({35, 69, 131, Transpose::b, Into::accumulate, false}, all_bf16);
}

TEST_P(EmulatedUnit, MultipliesByLargeTiles) {
  // More tiles than this device has compute units.
  const std::size_t M = 128 * (device_.info().compute_units + 1) + 9;
  expect_right({M, 72, 72, Transpose::none, Into::replace, false}, into_f32);
  expect_right({M, 40, 48, Transpose::a, Into::replace, true}, all_bf16);
  expect_right({M, 130, 37, Transpose::b, Into::accumulate, false}, into_f32);
}

TEST_P(EmulatedUnit, GivesTheBiasForNothing) {
  expect_right({3, 20, 0, Transpose::none, Into::replace, true}, into_f32);
}

std::string unit_name(const testing::TestParamInfo<MatrixUnit>& info) {
  switch (info.param) {
    case MatrixUnit::nvidia_mma:
      return "nvidia_mma";
    case MatrixUnit::intel_xmx_8:
      return "intel_xmx_8";
    case MatrixUnit::intel_xmx_16:
      return "intel_xmx_16";
    case MatrixUnit::amd_wmma:
      return "amd_wmma";
    default:
      return "amd_mfma";
  }
}

INSTANTIATE_TEST_SUITE_P(Units, EmulatedUnit,
                         testing::Values(MatrixUnit::nvidia_mma, MatrixUnit::intel_xmx_8,
                                         MatrixUnit::intel_xmx_16, MatrixUnit::amd_wmma,
                                         MatrixUnit::amd_mfma),
                         unit_name);

}  // namespace
}  // namespace motley
