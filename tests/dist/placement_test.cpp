#include "dist/placement.h"

#include <gtest/gtest.h>

#include "dist/placement_topology.h"
#include "tests/scratch_directory.h"

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
  std::vector<RankCores> ranks;
  for (const Mask& mask : masks) ranks.push_back({mask, CoreNeed::unknown});
  return format_processors(share_of(ranks, rank));
}

/// The shares of ranks that may all use `mask`, in order.
std::vector<std::string> shares(const Mask& mask, const std::vector<CoreNeed>& needs) {
  std::vector<RankCores> ranks;
  for (const CoreNeed need : needs) ranks.push_back({mask, need});
  std::vector<std::string> result;
  for (std::size_t r = 0; r < ranks.size(); ++r)
    result.push_back(format_processors(share_of(ranks, r)));
  return result;
}

using Shares = std::vector<std::string>;
constexpr auto device_need = CoreNeed::device;
constexpr auto host_need = CoreNeed::host;

/// Processors 0..n-1 in `nodes` equal NUMA nodes.
Mask numa_cores(int n, int nodes) {
  Mask mask;
  for (int id = 0; id < n; ++id)
    mask.push_back({.id = id, .numa = id / (n / nodes), .package = 0, .core = id});
  return mask;
}

TEST(ShareOf, LeavesALoneRankEverything) {
  EXPECT_EQ(share({cores(8)}, 0), "0-7");
  EXPECT_EQ(share({numa_cores(8, 2)}, 0), "0-7");
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
  EXPECT_EQ(share({mask, mask, mask}, 0), "0-1,4-5");
  EXPECT_EQ(share({mask, mask, mask}, 1), "2,6");
  const std::vector<Mask> six(6, mask);  // more ranks than cores, fewer than processors
  EXPECT_EQ(share(six, 0), "0,4");
  EXPECT_EQ(share(six, 5), "7");
}

TEST(ShareOf, KeepsPackagesTogether) {
  Mask mask;
  for (int id = 0; id < 8; ++id) mask.push_back({.id = id, .package = id % 2, .core = id / 2});
  EXPECT_EQ(share({mask, mask}, 0), "0,2,4,6");
}

TEST(ShareOf, GivesEachRankOneNumaNode) {
  const Mask mask = numa_cores(8, 2);
  EXPECT_EQ(shares(mask, {device_need, device_need}), (Shares{"0-3", "4-7"}));
  // Three ranks over two nodes of four: nobody gets cores of both.
  EXPECT_EQ(shares(mask, {device_need, device_need, device_need}), (Shares{"0-1", "2-3", "4-7"}));
}

TEST(ShareOf, GivesFewRanksWholeNodes) {
  EXPECT_EQ(shares(numa_cores(8, 4), {device_need, device_need}), (Shares{"0-3", "4-7"}));
  EXPECT_EQ(shares(numa_cores(6, 3), {device_need, device_need}), (Shares{"0-3", "4-5"}));
}

TEST(ShareOf, GivesMoreRanksToLargerNodes) {
  Mask mask = numa_cores(6, 1);
  mask.push_back({.id = 6, .numa = 1, .core = 6});
  mask.push_back({.id = 7, .numa = 1, .core = 7});
  EXPECT_EQ(shares(mask, std::vector<CoreNeed>(4, device_need)),
            (Shares{"0-1", "2-3", "4-5", "6-7"}));
}

TEST(ShareOf, LeavesOneCoreToARankThatOnlyDrivesItsDevice) {
  EXPECT_EQ(shares(cores(8), {host_need, device_need, host_need}), (Shares{"6", "0-5", "7"}));
  EXPECT_EQ(shares(cores(8), {host_need, host_need}), (Shares{"0-3", "4-7"}));
  EXPECT_EQ(shares(cores(2), {host_need, device_need, device_need}), (Shares{"0", "1", "0"}));
}

TEST(ShareOf, KeepsMasksThatAreAlreadyApart) {
  const Mask first = {{.id = 0, .core = 0}, {.id = 1, .core = 1}};
  const Mask second = {{.id = 2, .core = 2}, {.id = 3, .core = 3}};
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

TEST(ParseProcessorList, ReadsWhatTheKernelWrites) {
  EXPECT_EQ(parse_processor_list("0-2,8\n"), (std::vector<int>{0, 1, 2, 8}));
  EXPECT_EQ(parse_processor_list("5"), (std::vector<int>{5}));
  EXPECT_TRUE(parse_processor_list("").empty());
  EXPECT_TRUE(parse_processor_list("\n").empty());
}

TEST(ParseProcessorList, EndsAtWhatIsNoList) {
  EXPECT_EQ(parse_processor_list("1,x"), (std::vector<int>{1}));
  EXPECT_TRUE(parse_processor_list("0-99999999").empty());
  EXPECT_TRUE(parse_processor_list("-4").empty());
  EXPECT_TRUE(parse_processor_list("3-").empty());
  EXPECT_TRUE(parse_processor_list("4-2").empty());
}

TEST(DescribeProcessors, ReadsNodesAndCores) {
  const ScratchDirectory system;
  for (const char* directory : {"node/node0", "node/node1", "node/power", "cpu/cpu2/topology"})
    io::create_directories(system / directory);
  system.write("node/node0/cpulist", "0-1\n");
  system.write("node/node1/cpulist", "2-3\n");
  system.write("cpu/cpu2/topology/physical_package_id", "1\n");
  system.write("cpu/cpu2/topology/core_id", "7\n");
  const std::vector<int> ids = {1, 2, 9};
  EXPECT_EQ(describe_processors(ids, system.path()),
            (Mask{{.id = 1, .numa = 0, .package = 0, .core = 1},
                  {.id = 2, .numa = 1, .package = 1, .core = 7},
                  {.id = 9, .numa = 0, .package = 0, .core = 9}}));
  EXPECT_EQ(describe_processors(ids, system / "missing").size(), 3u);
}

TEST(ReadAvailable, SeesBeyondABinding) {
  const Mask before = read_affinity();
  const Mask one = {before.front()};
  ASSERT_TRUE(bind_to(one));
  EXPECT_EQ(read_affinity(), one);
  EXPECT_GE(read_available().size(), before.size());
  EXPECT_EQ(read_affinity(), one) << "the binding was not restored";
  ASSERT_TRUE(bind_to(before));
}

DeviceInfo device(const std::string& name, DeviceKind kind, unsigned compute_units) {
  DeviceInfo info;
  info.name = name;
  info.kind = kind;
  info.compute_units = compute_units;
  return info;
}

TEST(ExplainSlowPlacement, SpeaksOfCpusWithMoreThreadsThanCores) {
  Placement placement;
  placement.available = placement.allowed = placement.cores = cores(2);
  EXPECT_EQ(explain_slow_placement(device("cpu", DeviceKind::cpu, 2), placement), "");
  EXPECT_EQ(explain_slow_placement(device("gpu", DeviceKind::gpu, 64), placement), "");
  expect_mentions(explain_slow_placement(device("cpu", DeviceKind::cpu, 64), placement),
                  "--bind-to none");
}

TEST(ExplainSlowPlacement, SpeaksOfSeveralNodes) {
  Placement placement;
  placement.available = placement.allowed = placement.cores = numa_cores(8, 2);
  expect_mentions(explain_slow_placement(device("cpu", DeviceKind::cpu, 8), placement),
                  "2 NUMA nodes");
  EXPECT_EQ(explain_slow_placement(device("gpu", DeviceKind::gpu, 8), placement), "");
}

TEST(ExplainSlowPlacement, SpeaksOfALaunchersBinding) {
  Placement placement;
  placement.available = cores(8);
  placement.allowed = placement.cores = cores(2);
  const DeviceInfo cpu = device("cpu", DeviceKind::cpu, 2);
  EXPECT_EQ(explain_slow_placement(cpu, placement), "") << "taskset is the user's own wish";
  placement.launched = true;
  expect_mentions(explain_slow_placement(cpu, placement), "2 of the host's 8 cores");
  placement.local_size = 4;
  EXPECT_EQ(explain_slow_placement(cpu, placement), "");
}

struct Binding {
  int host_cores;
  int local_size;
  bool launched;
  const char* threads_origin;
  DeviceKind kind;
  bool refused;
};

class ExplainOneCore : public testing::TestWithParam<Binding> {};

TEST_P(ExplainOneCore, RefusesWhatTheLauncherLeavesACpu) {
  const Binding& b = GetParam();
  Placement placement;
  placement.available = cores(b.host_cores);
  placement.allowed = placement.cores = cores(1);
  placement.local_size = b.local_size;
  placement.launched = b.launched;
  placement.threads_origin = b.threads_origin;
  const std::string text = explain_one_core(device("cpu", b.kind, 1), placement);
  EXPECT_EQ(!text.empty(), b.refused) << text;
  if (b.refused) expect_mentions(text, "--bind-to none");
}

constexpr auto cpu = DeviceKind::cpu;
constexpr const char* ours = "this rank's cores";
INSTANTIATE_TEST_SUITE_P(
    Bindings, ExplainOneCore,
    testing::Values(Binding{2, 1, true, ours, cpu, true}, Binding{8, 4, true, ours, cpu, true},
                    Binding{2, 2, true, ours, cpu, false}, Binding{8, 5, true, ours, cpu, false},
                    Binding{1, 1, true, ours, cpu, false}, Binding{8, 1, false, ours, cpu, false},
                    Binding{8, 1, true, "POCL_MAX_PTHREAD_COUNT", cpu, false},
                    Binding{8, 1, true, ours, DeviceKind::gpu, false}));

TEST(ExplainOneCoreAlone, CountsHyperThreadsOfOneCoreOnce) {
  Placement placement;
  placement.available = cores(8);
  placement.allowed = {{.id = 0, .core = 0}, {.id = 8, .core = 0}};
  placement.launched = true;
  EXPECT_NE(explain_one_core(device("cpu", cpu, 2), placement), "");
  placement.allowed = cores(2);
  EXPECT_EQ(explain_one_core(device("cpu", cpu, 2), placement), "");
}

}  // namespace
}  // namespace motley
