#include "dist/placement_near.h"

#include <gtest/gtest.h>

#include "dist/placement_topology.h"
#include "dist/self_comm.h"
#include "tests/scratch_directory.h"

namespace motley {
namespace {

using Ids = std::vector<int>;

/// Writes what Linux says of a PCI device.
void describe(const ScratchDirectory& bus, const std::string& pci, const std::string& node,
              const std::string& processors) {
  io::create_directories(bus / pci);
  bus.write(pci + "/numa_node", node + "\n");
  bus.write(pci + "/local_cpulist", processors + "\n");
}

TEST(ProcessorsNear, ReadsWhereADeviceIsAttached) {
  const ScratchDirectory bus;
  describe(bus, "0000:65:00.0", "1", "2-3,6");
  EXPECT_EQ(processors_near("0000:65:00.0", bus.path()), (Ids{2, 3, 6}));
}

TEST(ProcessorsNear, IsEmptyWhereThatIsNotTold) {
  const ScratchDirectory bus;
  describe(bus, "0000:01:00.0", "-1", "0-7");
  io::create_directories(bus / "0000:02:00.0");
  EXPECT_TRUE(processors_near("0000:01:00.0", bus.path()).empty());
  EXPECT_TRUE(processors_near("0000:02:00.0", bus.path()).empty());
  EXPECT_TRUE(processors_near("0000:03:00.0", bus.path()).empty());
  EXPECT_TRUE(processors_near("", bus.path()).empty());
}

/// Processors 0-7, two nodes of four cores.
std::vector<Processor> host() {
  std::vector<Processor> all;
  for (int id = 0; id < 8; ++id) all.push_back({.id = id, .numa = id / 4, .core = id});
  return all;
}

std::vector<std::string> shares(const std::vector<HostRank>& ranks) {
  std::vector<std::string> texts;
  for (std::size_t r = 0; r < ranks.size(); ++r)
    texts.push_back(format_processors(share_near(host(), ranks, r)));
  return texts;
}

const Ids all{0, 1, 2, 3, 4, 5, 6, 7};
const Ids first_node{0, 1, 2, 3};
const Ids second_node{4, 5, 6, 7};
using Texts = std::vector<std::string>;

TEST(ShareNear, TakesTheDevicesNode) {
  EXPECT_EQ(shares({{all, all, second_node}}), (Texts{"4-7"}));
  // place() had given them the nodes the other way round.
  EXPECT_EQ(shares({{all, first_node, second_node}, {all, second_node, first_node}}),
            (Texts{"4-7", "0-3"}));
}

TEST(ShareNear, DividesTheNodeOfSeveralDevices) {
  EXPECT_EQ(shares({{all, {0, 1, 2, 3}, second_node}, {all, {4, 5, 6, 7}, second_node}}),
            (Texts{"4-5", "6-7"}));
}

TEST(ShareNear, LeavesOutWhatACpuDeviceComputesOn) {
  EXPECT_EQ(shares({{all, {0, 1, 2, 3, 4, 5}, {}}, {all, {7}, second_node}}), (Texts{"", "6-7"}));
  EXPECT_EQ(shares({{all, {0, 1, 2, 3, 4, 5, 6}, {}}, {all, {7}, first_node}}), (Texts{"", ""}));
}

TEST(ShareNear, StaysWithinALaunchersBinding) {
  EXPECT_EQ(shares({{{3, 4, 5}, {3, 4, 5}, second_node}})[0], "4-5");
  EXPECT_EQ(shares({{{0, 1}, {0, 1}, second_node}})[0], "");
}

class BindNear : public testing::Test {
 protected:
  BindNear() : allowed_(read_affinity()) {
    placement_.allowed = placement_.cores = allowed_;
    device_.name = "a GPU";
    device_.kind = DeviceKind::gpu;
    device_.pci = "0000:65:00.0";
  }
  ~BindNear() override { bind_to(allowed_); }

  ScratchDirectory bus_;
  SelfComm comm_{"host"};
  std::vector<Processor> allowed_;
  Placement placement_;
  DeviceInfo device_;
};

TEST_F(BindNear, BindsTheHostThreadsOfAGpu) {
  describe(bus_, device_.pci, "0", std::to_string(allowed_.back().id));
  EXPECT_EQ(bind_near(comm_, placement_, device_, bus_.path()), "");
  EXPECT_EQ(read_affinity(), std::vector<Processor>{allowed_.back()});
  EXPECT_EQ(placement_.cores, std::vector<Processor>{allowed_.back()});
}

TEST_F(BindNear, LeavesACpuWhereItIs) {
  describe(bus_, device_.pci, "0", std::to_string(allowed_.back().id));
  device_.kind = DeviceKind::cpu;
  EXPECT_EQ(bind_near(comm_, placement_, device_, bus_.path()), "");
  EXPECT_EQ(read_affinity(), allowed_);
}

TEST_F(BindNear, WarnsOfABindingElsewhere) {
  describe(bus_, device_.pci, "1", "8191");
  const std::string warning = bind_near(comm_, placement_, device_, bus_.path());
  EXPECT_NE(warning.find("a GPU is attached near processors 8191"), std::string::npos) << warning;
  EXPECT_EQ(read_affinity(), allowed_);
  EXPECT_EQ(placement_.cores, allowed_);
}

}  // namespace
}  // namespace motley
