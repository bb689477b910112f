#include "train/plan_file.h"

#include <gtest/gtest.h>

#include <functional>

#include "kernels/gemm_plan.h"
#include "tests/scratch_directory.h"
#include "train/plan_json.h"

namespace motley {
namespace {

constexpr GemmShape first{Dtype::f32, Transpose::b, 30, 40, 50};
constexpr GemmShape second{Dtype::bf16, Transpose::a, 31, 41, 51};
constexpr GemmPlan small{
    .tile_rows = 6, .tile_columns = 16, .k_block = 512, .row_block_bytes = 65536};
constexpr GemmPlan large{
    .tile_rows = 8, .tile_columns = 48, .k_block = 2048, .row_block_bytes = 131072};

DeviceSettings settings_in(const ScratchDirectory& scratch,
                           KernelFamily family = KernelFamily::cpu) {
  return {.family = family, .cache_directory = scratch / "cache"};
}

TEST(PlanFile, IsReadAsWritten) {
  const ScratchDirectory scratch;
  const Device device(list_devices().at(0), settings_in(scratch));
  EXPECT_TRUE(PlanFile(device).read().empty()) << "no file yet";
  const GemmPlans plans{{first, small}, {second, large}};
  PlanFile(device).add(plans);
  EXPECT_EQ(PlanFile(device).read(), plans);
}

TEST(PlanFile, GrowsAndTakesTheNewerOfTwo) {
  const ScratchDirectory scratch;
  const Device device(list_devices().at(0), settings_in(scratch));
  PlanFile(device).add({{first, small}});
  PlanFile(device).add({{first, large}, {second, small}});
  EXPECT_EQ(PlanFile(device).read(), (GemmPlans{{first, large}, {second, small}}));
}

TEST(PlanFile, IsNowhereWithoutACache) {
  const Device device(list_devices().at(0), {.family = KernelFamily::cpu});
  const PlanFile file(device);
  EXPECT_TRUE(file.path().empty());
  file.add({{first, small}});
  EXPECT_TRUE(file.read().empty());
}

TEST(PlanFile, ThatIsDamagedIsIgnoredAndWrittenAnew) {
  const GemmPlans plans{{first, small}};
  const auto replaced = [](const std::string& from, const std::string& to) {
    return [=](std::string text) {
      EXPECT_NE(text.find(from), std::string::npos) << from;
      return text.replace(text.find(from), from.size(), to);
    };
  };
  const std::vector<std::function<std::string(std::string)>> damages{
      [](const std::string& text) { return text.substr(0, text.size() / 2); },
      [](const std::string&) { return std::string(); },
      [](const std::string&) { return std::string("[1, 2]"); },
      replaced("\"k_block\": 512", "\"k_block\": 528"),
      replaced("\"tile_rows\": 6", "\"tile_rows\": -6"),
      replaced("\"transpose\": \"b\"", "\"transpose\": \"c\""),
      replaced("\"format\": 1", "\"format\": 2"),
      replaced("compute units: ", "compute units: 9"),
  };
  for (std::size_t i = 0; i < damages.size(); ++i) {
    const ScratchDirectory scratch;
    const Device device(list_devices().at(0), settings_in(scratch));
    const PlanFile file(device);
    file.add(plans);
    io::write_text_atomically(file.path(), damages[i](io::read_text(file.path())));
    EXPECT_TRUE(file.read().empty()) << "damage " << i;
    file.add(plans);
    EXPECT_EQ(file.read(), plans) << "damage " << i;
  }
}

TEST(PlanFile, LeavesOutWhatTheDeviceCannotUse) {
  const ScratchDirectory scratch;
  const Device device(list_devices().at(0), settings_in(scratch));
  GemmPlan odd = small;
  odd.tile_rows = 7;
  PlanFile(device).add({{first, odd}, {second, small}});
  EXPECT_EQ(PlanFile(device).read(), (GemmPlans{{second, small}}));
}

TEST(PlanFile, IsAnotherForAnotherDevice) {
  const ScratchDirectory scratch;
  const DeviceInfo info = list_devices().at(0);
  const Device device(info, settings_in(scratch));
  const io::Path path = PlanFile(device).path();
  EXPECT_EQ(PlanFile(Device(info, settings_in(scratch))).path(), path);
  EXPECT_NE(PlanFile(Device(info, settings_in(scratch, KernelFamily::gpu))).path(), path);
  DeviceInfo wider = info;
  ++wider.compute_units;
  EXPECT_NE(PlanFile(Device(wider, settings_in(scratch))).path(), path);
  DeviceInfo other = info;
  other.name = "another";
  EXPECT_NE(PlanFile(Device(other, settings_in(scratch))).path(), path);
  Device with_unit(info, settings_in(scratch));
  with_unit.set_matrix_unit(MatrixUnit::avx512_bf16);
  EXPECT_NE(PlanFile(with_unit).path(), path);
}

}  // namespace
}  // namespace motley
