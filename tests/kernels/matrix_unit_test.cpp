#include "kernels/matrix_unit.h"

#include <gtest/gtest.h>

#include "tests/kernels/gemm_test.h"

namespace motley {
namespace {

TEST(MatrixUnit, IsFoundOnceAndOnlyWhereItIsOffered) {
  Device device = open_poisoned(KernelFamily::cpu);
  EXPECT_FALSE(device.matrix_unit().has_value());
  const MatrixUnit unit = op::find_matrix_unit(device.stream());
  EXPECT_TRUE(op::is_offered(device.info(), unit));
  EXPECT_EQ(device.matrix_unit(), unit);
  EXPECT_EQ(op::find_matrix_unit(device.stream()), unit);
}

TEST(MatrixUnit, IsNotLookedForWhereTheSettingsForbidIt) {
  Device device(list_devices().at(0), {.family = KernelFamily::cpu, .matrix_units = false});
  EXPECT_EQ(op::find_matrix_unit(device.stream()), MatrixUnit::none);
}

TEST(MatrixUnit, OfAProcessorIsNotOfferedByOtherDevices) {
  DeviceInfo info = list_devices().at(0);
  info.kind = DeviceKind::gpu;
  EXPECT_FALSE(op::is_offered(info, MatrixUnit::avx512_bf16));
  info.kind = DeviceKind::cpu;
  info.platform = "another compiler";
  EXPECT_FALSE(op::is_offered(info, MatrixUnit::avx512_bf16));
  EXPECT_TRUE(op::is_offered(info, MatrixUnit::none));
}

}  // namespace
}  // namespace motley
