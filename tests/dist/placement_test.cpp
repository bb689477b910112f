#include "dist/placement.h"

#include <gtest/gtest.h>

#include "dist/job.h"
#include "tensor/error.h"

namespace motley {
namespace {

using Mask = std::vector<Processor>;

/// Processors 0..n-1, each a core of its own.
Mask cores(int n) {
  Mask mask;
  for (int id = 0; id < n; ++id) mask.push_back({.id = id, .package = 0, .core = id});
  return mask;
}

std::string share(const std::vector<Mask>& masks, std::size_t rank) {
  return format_processors(share_of(masks, rank));
}

TEST(ShareOf, LeavesALoneRankEverything) {
  EXPECT_EQ(share({cores(8)}, 0), "0-7");
}

TEST(ShareOf, SplitsACommonMask) {
  EXPECT_EQ(share({cores(8), cores(8)}, 0), "0-3");
  EXPECT_EQ(share({cores(8), cores(8)}, 1), "4-7");
  EXPECT_EQ(share({cores(8), cores(8), cores(8)}, 0), "0-2");
  EXPECT_EQ(share({cores(8), cores(8), cores(8)}, 2), "6-7");
}

TEST(ShareOf, KeepsHyperThreadsTogether) {
  // The usual numbering: processors 0-3 are the first threads of cores 0-3, 4-7 the second ones.
  Mask mask;
  for (int id = 0; id < 8; ++id) mask.push_back({.id = id, .package = 0, .core = id % 4});
  EXPECT_EQ(share({mask, mask}, 0), "0-1,4-5");
  EXPECT_EQ(share({mask, mask}, 1), "2-3,6-7");
}

TEST(ShareOf, KeepsPackagesTogether) {
  Mask mask;
  for (int id = 0; id < 8; ++id) mask.push_back({.id = id, .package = id % 2, .core = id / 2});
  EXPECT_EQ(share({mask, mask}, 0), "0,2,4,6");
}

TEST(ShareOf, KeepsMasksThatAreAlreadyApart) {
  const Mask first = {{.id = 0}, {.id = 1}};
  const Mask second = {{.id = 2}, {.id = 3}};
  EXPECT_EQ(share({first, second, second}, 0), "0-1");
  EXPECT_EQ(share({first, second, second}, 1), "2");
  EXPECT_EQ(share({first, second, second}, 2), "3");
}

TEST(ShareOf, GivesEachRankAtLeastOneProcessor) {
  const std::vector<Mask> masks(5, cores(2));
  EXPECT_EQ(share(masks, 0), "0");
  EXPECT_EQ(share(masks, 1), "1");
  EXPECT_EQ(share(masks, 2), "0");
  EXPECT_EQ(share(masks, 4), "0");
}

TEST(FormatProcessors, JoinsRuns) {
  EXPECT_EQ(format_processors({}), "");
  EXPECT_EQ(format_processors(Mask{{.id = 8}, {.id = 0}, {.id = 1}, {.id = 2}}), "0-2,8");
}

DeviceInfo device(const std::string& name, DeviceKind kind, unsigned compute_units = 8) {
  DeviceInfo info;
  info.name = name;
  info.kind = kind;
  info.compute_units = compute_units;
  return info;
}

const std::vector<DeviceInfo>& host() {
  static const std::vector<DeviceInfo> devices = {device("Radeon RX 7900", DeviceKind::gpu),
                                                  device("Arc A770", DeviceKind::gpu),
                                                  device("pthread-EPYC", DeviceKind::cpu)};
  return devices;
}

struct Choice {
  const char* spec;
  int local_rank;
  int local_size;
  const char* name;
};

class ChooseDevice : public testing::TestWithParam<Choice> {};

TEST_P(ChooseDevice, FindsTheRanksDevice) {
  const Choice& c = GetParam();
  EXPECT_EQ(choose_device(host(), c.spec, c.local_rank, c.local_size).name, c.name);
}

INSTANTIATE_TEST_SUITE_P(
    Specs, ChooseDevice,
    testing::Values(Choice{"auto", 0, 1, "Radeon RX 7900"}, Choice{"auto", 1, 2, "Arc A770"},
                    Choice{"gpu", 1, 2, "Arc A770"}, Choice{"cpu", 0, 1, "pthread-EPYC"},
                    Choice{"cpu", 3, 4, "pthread-EPYC"}, Choice{"index:1", 0, 1, "Arc A770"},
                    Choice{"index:2", 1, 2, "pthread-EPYC"}, Choice{"name:arc", 0, 1, "Arc A770"},
                    Choice{"name:EPYC", 1, 2, "pthread-EPYC"}));

TEST(ChooseDeviceAlone, UsesTheCpuOfAHostWithoutGpus) {
  const std::vector<DeviceInfo> only = {device("pthread-EPYC", DeviceKind::cpu)};
  EXPECT_EQ(choose_device(only, "auto", 2, 3).name, "pthread-EPYC");
}

TEST(ChooseDeviceAlone, RefusesTwoRanksOnOneGpuUnlessAllowed) {
  EXPECT_THROW(choose_device(host(), "auto", 0, 3), EnvironmentError);
  EXPECT_THROW(choose_device(host(), "index:0", 1, 2), EnvironmentError);
  EXPECT_THROW(choose_device(host(), "name:arc", 0, 2), EnvironmentError);
  EXPECT_EQ(choose_device(host(), "auto", 2, 3, DeviceSharing::allow).name, "Radeon RX 7900");
}

TEST(ChooseDeviceAlone, RefusesWhatIsNoDevice) {
  for (const char* spec :
       {"", "tpu", "CPU", "index:", "index:x", "index:1x", "index:-1", "name:", "gpu:0"}) {
    EXPECT_THROW(choose_device(host(), spec, 0, 1), ConfigError) << spec;
  }
}

TEST(ChooseDeviceAlone, SaysWhatThereIsWhenNothingFits) {
  for (const char* spec : {"index:3", "name:geforce"}) {
    try {
      choose_device(host(), spec, 0, 1);
      FAIL() << spec;
    } catch (const EnvironmentError& error) {
      EXPECT_NE(std::string(error.what()).find("index:1 Arc A770 (gpu)"), std::string::npos)
          << error.what();
    }
  }
}

TEST(ChooseDeviceAlone, ExplainsAHostWithoutDevices) {
  try {
    choose_device({}, "auto", 0, 1);
    FAIL();
  } catch (const EnvironmentError& error) {
    EXPECT_EQ(error.what(), explain_no_devices());
  }
}

TEST(ExplainOvercommit, SpeaksOfCpusWithMoreThreadsThanCores) {
  Placement placement;
  placement.cores = cores(2);
  EXPECT_EQ(explain_overcommit(device("cpu", DeviceKind::cpu, 2), placement), "");
  EXPECT_EQ(explain_overcommit(device("gpu", DeviceKind::gpu, 64), placement), "");
  EXPECT_NE(
      explain_overcommit(device("cpu", DeviceKind::cpu, 64), placement).find("--bind-to none"),
      std::string::npos);
}

/// A fake environment of one variable.
Environment with(std::string name, std::string value) {
  return [name = std::move(name), value = std::move(value)](const char* asked) -> const char* {
    return name == asked ? value.c_str() : nullptr;
  };
}

TEST(IsUnderMpi, KnowsTheLaunchers) {
  EXPECT_TRUE(is_under_mpi(with("OMPI_COMM_WORLD_SIZE", "1")));
  EXPECT_TRUE(is_under_mpi(with("PMI_RANK", "0")));
  EXPECT_TRUE(is_under_mpi(with("PMIX_RANK", "0")));
  EXPECT_FALSE(is_under_mpi(with("HOME", "/root")));
  EXPECT_FALSE(is_under_mpi(with("SLURM_STEP_NUM_TASKS", "1")));
}

TEST(IsUnderMpi, RefusesTasksThatWouldNotFindEachOther) {
  EXPECT_THROW(is_under_mpi(with("SLURM_STEP_NUM_TASKS", "4")), EnvironmentError);
}

}  // namespace
}  // namespace motley
