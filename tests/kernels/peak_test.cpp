// The kernel behind the peak of multiply-adds does all its rounds, on both kinds of groups.
#include "kernels/peak.h"

#include <gtest/gtest.h>

#include <vector>

#include "kernels/generated.h"
#include "kernels/matrix_unit.h"

namespace motley {
namespace {

TEST(Peak, DoesEveryRoundOfEveryChain) {
  Device device(list_devices().at(0), {.family = KernelFamily::cpu});
  Stream& s = device.stream();
  for (const std::size_t local : {std::size_t{1}, std::size_t{64}}) {
    constexpr std::size_t groups = 3;
    Tensor y = device.zeros({groups * local});
    launch(s, {.groups = {groups, 1, 1}, .local = {local, 1, 1}},
           k::peak_fma{.y = y, .x = 0.5f, .rounds = std::uint32_t{3}});
    // Chain c goes from c half the way to 1 in every round; 16 lanes of each of 10 chains.
    float expected = 0;
    for (int chain = 0; chain < 10; ++chain)
      expected += 16 * (1 + (static_cast<float>(chain) - 1) / 8);
    std::vector<float> values(y.size());
    s.read<float>(values, y);
    EXPECT_EQ(values, std::vector<float>(y.size(), expected));
  }
}

TEST(Peak, DoesEveryRoundOfAmx) {
  Device device(list_devices().at(0), {.family = KernelFamily::cpu});
  Tensor y = device.zeros({2});
  launch(device.stream(), {.groups = {y.size(), 1, 1}},
         k::peak_amx_cpu{.y = y, .rounds = std::uint32_t{3}}, {{"AMX_EMULATED", 1}});
  std::vector<float> values(y.size());
  device.stream().read<float>(values, y);
  EXPECT_EQ(values, std::vector<float>(y.size(), 3.0f * 32 * 32 * 32));
}

TEST(Peak, IsMeasuredInBothFamilies) {
  for (const KernelFamily family : {KernelFamily::cpu, KernelFamily::gpu}) {
    Device device(list_devices().at(0), {.family = family});
    const Peaks peaks = measure_peaks(device);
    EXPECT_GT(peaks.flops, 0);
    EXPECT_GT(peaks.bytes, 0);
    EXPECT_LT(peaks.flops, 1e16) << "no device of today: work was left out";
    EXPECT_LT(peaks.bytes, 1e14);
  }
}

TEST(Peak, IsThatOfTheMatrixUnitInUse) {
  Device device(list_devices().at(0), {.family = KernelFamily::cpu});
  EXPECT_EQ(measure_peaks(device).dtype, Dtype::f32);
  if (op::find_matrix_unit(device.stream()) == MatrixUnit::none) return;
  const Peaks peaks = measure_peaks(device);
  EXPECT_EQ(peaks.dtype, Dtype::bf16);
  EXPECT_GT(peaks.flops, 0);
  EXPECT_LT(peaks.flops, 1e16) << "no device of today: work was left out";
}

}  // namespace
}  // namespace motley
