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
  const auto none_is_offered = [&] {
    return !op::is_offered(info, MatrixUnit::avx512_bf16) && !op::is_offered(info, MatrixUnit::amx);
  };
  info.kind = DeviceKind::gpu;
  EXPECT_TRUE(none_is_offered());
  info.kind = DeviceKind::cpu;
  info.platform = "another compiler";
  EXPECT_TRUE(none_is_offered());
  EXPECT_TRUE(op::is_offered(info, MatrixUnit::none));
}

TEST(MatrixUnit, OfAGpuIsOfferedByWhatItsVendorSays) {
  DeviceInfo info;
  info.kind = DeviceKind::gpu;
  EXPECT_FALSE(op::is_offered(info, MatrixUnit::nvidia_mma));
  EXPECT_FALSE(op::is_offered(info, MatrixUnit::intel_xmx_8));
  EXPECT_FALSE(op::is_offered(info, MatrixUnit::amd_wmma));
  EXPECT_FALSE(op::is_offered(info, MatrixUnit::amd_mfma));
  info.matrix_hints.nvidia_capability = 7;
  EXPECT_FALSE(op::is_offered(info, MatrixUnit::nvidia_mma)) << "bf16 came with 8.0";
  info.matrix_hints.nvidia_capability = 9;
  EXPECT_TRUE(op::is_offered(info, MatrixUnit::nvidia_mma));
  info.matrix_hints = {};
  info.matrix_hints.intel_matrix_sub_group = 16;
  EXPECT_FALSE(op::is_offered(info, MatrixUnit::intel_xmx_8));
  EXPECT_TRUE(op::is_offered(info, MatrixUnit::intel_xmx_16));
  info.matrix_hints = {};
  info.matrix_hints.amd_architecture = "gfx1101";
  EXPECT_TRUE(op::is_offered(info, MatrixUnit::amd_wmma));
  EXPECT_FALSE(op::is_offered(info, MatrixUnit::amd_mfma));
  info.matrix_hints.amd_architecture = "gfx942";
  EXPECT_TRUE(op::is_offered(info, MatrixUnit::amd_mfma));
  info.matrix_hints.amd_architecture = "gfx906";
  EXPECT_FALSE(op::is_offered(info, MatrixUnit::amd_mfma));
}

TEST(MatrixUnit, OfAGpuIsNotLookedForOnAProcessor) {
  Device device = open_poisoned(KernelFamily::gpu);
  if (device.info().kind == DeviceKind::gpu) GTEST_SKIP() << "the first device is a GPU";
  EXPECT_EQ(op::find_matrix_unit(device.stream()), MatrixUnit::none);
}

}  // namespace
}  // namespace motley
