#include "train/settle_plans.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <memory>

#include "dist/thread_comm.h"
#include "kernels/gemm_plan.h"
#include "tests/scratch_directory.h"
#include "train/plan_file.h"

namespace motley {
namespace {

using Stored = std::optional<std::vector<KindPlans>>;

constexpr GemmShape shape{Dtype::f32, Transpose::b, 30, 40, 50};
constexpr GemmPlan small{
    .tile_rows = 6, .tile_columns = 16, .k_block = 512, .row_block_bytes = 65536};
constexpr GemmPlan large{
    .tile_rows = 8, .tile_columns = 48, .k_block = 2048, .row_block_bytes = 131072};

PlanSettings settings_of(Tuning tuning, Dtype dtype = Dtype::f32) {
  return {.tuning = tuning, .shapes = {shape}, .dtype = dtype};
}

/// A rank's own cache, with what it found for the shape.
std::unique_ptr<Device> device_with(const ScratchDirectory& scratch, int rank,
                                    const std::optional<GemmPlan>& plan,
                                    const std::string& name = "") {
  DeviceInfo info = list_devices().at(0);
  if (!name.empty()) info.name = name;
  auto device = std::make_unique<Device>(
      info, DeviceSettings{.family = KernelFamily::cpu,
                           .cache_directory = scratch / fmt::format("cache{}", rank)});
  if (plan) PlanFile(*device).add({{shape, *plan}});
  return device;
}

TEST(SettlePlans, LoadsWhatWasFoundUnlessItIsOff) {
  run_ranks(1, [](Communicator& comm) {
    const ScratchDirectory scratch;
    const auto opened = device_with(scratch, 0, small);
    Device& device = *opened;
    const auto off = settle_plans(comm, device, settings_of(Tuning::off), {});
    EXPECT_TRUE(device.gemm_plans().empty());
    ASSERT_EQ(off.size(), 1u);
    EXPECT_TRUE(off[0].plans.empty());
    const auto loaded = settle_plans(comm, device, settings_of(Tuning::load), {});
    EXPECT_EQ(device.gemm_plans(), (GemmPlans{{shape, small}}));
    ASSERT_EQ(loaded.size(), 1u);
    EXPECT_EQ(loaded[0].kind, kind_of(device));
    EXPECT_EQ(loaded[0].plans, device.gemm_plans());
  });
}

TEST(SettlePlans, KeepsToTheProductsOfTheRun) {
  run_ranks(1, [](Communicator& comm) {
    const ScratchDirectory scratch;
    const auto opened = device_with(scratch, 0, small);
    Device& device = *opened;
    PlanSettings settings = settings_of(Tuning::load);
    settings.shapes.front().M = 31;
    EXPECT_TRUE(settle_plans(comm, device, settings, {}).at(0).plans.empty());
  });
}

TEST(SettlePlans, TunesOnceWhatNobodyHas) {
  run_ranks(1, [](Communicator& comm) {
    const ScratchDirectory scratch;
    const auto opened = device_with(scratch, 0, std::nullopt);
    Device& device = *opened;
    settle_plans(comm, device, settings_of(Tuning::load), {});
    EXPECT_TRUE(device.gemm_plans().empty());
    settle_plans(comm, device, settings_of(Tuning::automatic), {});
    EXPECT_EQ(PlanFile(device).read(), device.gemm_plans());
    ASSERT_TRUE(device.gemm_plans().contains(shape));
    // What it would not find, so that it shows if it looked again.
    PlanFile(device).add({{shape, small}});
    settle_plans(comm, device, settings_of(Tuning::automatic), {});
    EXPECT_EQ(device.gemm_plans(), (GemmPlans{{shape, small}}));
  });
}

TEST(SettlePlans, GivesAllRanksOfAKindThoseOfTheFirst) {
  const ScratchDirectory scratch;
  run_ranks(3, [&](Communicator& comm) {
    // The files differ, and the last rank has none.
    const std::vector<std::optional<GemmPlan>> own{small, large, std::nullopt};
    const auto opened =
        device_with(scratch, comm.rank(), own[static_cast<std::size_t>(comm.rank())]);
    Device& device = *opened;
    const auto all = settle_plans(comm, device, settings_of(Tuning::load), {});
    EXPECT_EQ(device.gemm_plans(), (GemmPlans{{shape, small}}));
    EXPECT_EQ(all.size(), 1u);
  });
}

TEST(SettlePlans, AreAnotherMatterForOtherKinds) {
  const ScratchDirectory scratch;
  run_ranks(3, [&](Communicator& comm) {
    const std::vector<std::optional<GemmPlan>> own{small, large, std::nullopt};
    const auto opened =
        device_with(scratch, comm.rank(), own[static_cast<std::size_t>(comm.rank())],
                    comm.rank() == 0 ? "" : "another");
    Device& device = *opened;
    const auto all = settle_plans(comm, device, settings_of(Tuning::load), {});
    EXPECT_EQ(device.gemm_plans(), (GemmPlans{{shape, comm.rank() == 0 ? small : large}}));
    ASSERT_EQ(all.size(), 2u);
    EXPECT_EQ(all[0].plans, (GemmPlans{{shape, small}}));
    EXPECT_EQ(all[1].plans, (GemmPlans{{shape, large}}));
  });
}

TEST(SettlePlans, OfACheckpointStandWhateverTheFilesSay) {
  for (const Tuning tuning : {Tuning::off, Tuning::load, Tuning::automatic}) {
    const ScratchDirectory scratch;
    run_ranks(2, [&](Communicator& comm) {
      const auto opened = device_with(scratch, comm.rank(), small);
      Device& device = *opened;
      const std::vector<KindPlans> kept{{kind_of(device), MatrixUnit::none, {{shape, large}}}};
      // Rank 0 alone has read the checkpoint. A second rank joins a run that had one.
      const Stored stored = comm.rank() == 0 ? Stored(kept) : std::nullopt;
      EXPECT_EQ(settle_plans(comm, device, settings_of(tuning), stored), kept);
      EXPECT_EQ(device.gemm_plans(), (GemmPlans{{shape, large}}));
    });
  }
}

TEST(SettlePlans, OfACheckpointByDefaultsStayDefaults) {
  const ScratchDirectory scratch;
  run_ranks(1, [&](Communicator& comm) {
    const auto opened = device_with(scratch, 0, small);
    Device& device = *opened;
    const std::vector<KindPlans> kept{{kind_of(device), MatrixUnit::none, {}}};
    EXPECT_EQ(settle_plans(comm, device, settings_of(Tuning::load), kept), kept);
    EXPECT_TRUE(device.gemm_plans().empty());
  });
}

TEST(SettlePlans, OfACheckpointAreJoinedByThoseOfNewKinds) {
  const ScratchDirectory scratch;
  run_ranks(2, [&](Communicator& comm) {
    const auto opened = device_with(scratch, comm.rank(), small, comm.rank() == 0 ? "" : "another");
    Device& device = *opened;
    const KindPlans gone{"what left, cpu kernels", MatrixUnit::none, {{shape, large}}};
    const KindPlans first{kind_of(device), MatrixUnit::none, {{shape, large}}};
    const Stored stored =
        comm.rank() == 0 ? Stored(std::vector<KindPlans>{gone, first}) : std::nullopt;
    const auto all = settle_plans(comm, device, settings_of(Tuning::load), stored);
    EXPECT_EQ(device.gemm_plans(), (GemmPlans{{shape, comm.rank() == 0 ? large : small}}));
    ASSERT_EQ(all.size(), 3u);
    EXPECT_EQ(all[0], gone) << "it may come back";
    EXPECT_EQ(all[2].plans, (GemmPlans{{shape, small}}));
  });
}

TEST(SettlePlans, ThatTheDeviceCannotUseGiveWayToDefaults) {
  const ScratchDirectory scratch;
  run_ranks(1, [&](Communicator& comm) {
    const auto opened = device_with(scratch, 0, std::nullopt);
    Device& device = *opened;
    GemmPlan odd = small;
    odd.tile_rows = 7;
    settle_plans(comm, device, settings_of(Tuning::load),
                 std::vector<KindPlans>{{kind_of(device), MatrixUnit::none, {{shape, odd}}}});
    EXPECT_TRUE(device.gemm_plans().empty());
  });
}

TEST(SettlePlans, DoWithoutAMatrixUnitWhereTheCheckpointDid) {
  run_ranks(2, [](Communicator& comm) {
    Device device(list_devices().at(0), {.family = KernelFamily::cpu});
    const std::vector<KindPlans> kept{{kind_of(device), MatrixUnit::none, {}}};
    const auto all = settle_plans(comm, device, settings_of(Tuning::load, Dtype::bf16), kept);
    EXPECT_EQ(device.matrix_unit(), MatrixUnit::none);
    EXPECT_EQ(all, kept);
  });
}

}  // namespace
}  // namespace motley
