#include "tensor/device_info.h"

#include <gtest/gtest.h>

namespace motley {
namespace {

DeviceInfo device(const std::string& platform, const std::string& name, const std::string& pci,
                  const std::string& uuid, DeviceKind kind = DeviceKind::gpu) {
  DeviceInfo info;
  info.platform = platform;
  info.name = name;
  info.pci = pci;
  info.uuid = uuid;
  info.kind = kind;
  return info;
}

std::vector<std::string> names(const std::vector<DeviceInfo>& devices) {
  std::vector<std::string> result;
  for (const DeviceInfo& info : devices) result.push_back(info.platform + "/" + info.name);
  return result;
}

using Names = std::vector<std::string>;

TEST(MergeDevices, KeepsTheVendorsPlatformOfOneGpu) {
  const auto merged = merge_devices({device("rusticl", "A770 (mesa)", "0000:65:00.0", ""),
                                     device("Intel(R) OpenCL", "Arc A770", "0000:65:00.0", "aa")});
  ASSERT_EQ(names(merged), Names{"Intel(R) OpenCL/Arc A770"});
  EXPECT_EQ(merged[0].other_platforms, Names{"rusticl"});
}

TEST(MergeDevices, PrefersMesaToPoclWhateverTheOrder) {
  const DeviceInfo pocl = device("Portable Computing Language", "gpu", "", "aa");
  const DeviceInfo mesa = device("rusticl", "gpu", "", "aa");
  EXPECT_EQ(names(merge_devices({pocl, mesa})), Names{"rusticl/gpu"});
  EXPECT_EQ(names(merge_devices({mesa, pocl})), Names{"rusticl/gpu"});
}

TEST(MergeDevices, KeepsWhatIsNotKnownToBeOneDevice) {
  const auto merged = merge_devices({device("A", "x", "", ""), device("A", "x", "", ""),
                                     device("B", "x", "0000:01:00.0", "aa"),
                                     device("B", "x", "0000:02:00.0", "bb")});
  EXPECT_EQ(merged.size(), 4u);
}

TEST(MergeDevices, KeepsCpusOfTwoPlatforms) {
  const auto merged = merge_devices({device("pocl", "EPYC", "", "", DeviceKind::cpu),
                                     device("Oclgrind", "Simulator", "", "", DeviceKind::cpu)});
  EXPECT_EQ(names(merged), (Names{"pocl/EPYC", "Oclgrind/Simulator"}));
}

TEST(MergeDevices, PutsGpusFirstInTheOrderOfTheirAddresses) {
  const auto merged = merge_devices(
      {device("pocl", "cpu", "", "", DeviceKind::cpu), device("A", "c", "0000:c1:00.0", ""),
       device("A", "none", "", ""), device("B", "a", "0000:0a:00.0", "")});
  EXPECT_EQ(names(merged), (Names{"B/a", "A/c", "A/none", "pocl/cpu"}));
}

TEST(ListDevices, GivesEachAnIdentityOfItsOwn) {
  const std::vector<DeviceInfo> devices = list_devices();
  ASSERT_FALSE(devices.empty());
  for (std::size_t i = 0; i < devices.size(); ++i) {
    EXPECT_FALSE(devices[i].identity.empty());
    for (std::size_t j = 0; j < i; ++j) EXPECT_NE(devices[i].identity, devices[j].identity);
  }
}

}  // namespace
}  // namespace motley
