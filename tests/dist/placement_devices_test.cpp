#include "dist/placement_devices.h"

#include <gtest/gtest.h>

#include "dist/thread_comm.h"
#include "tensor/error.h"
#include "tests/scratch_directory.h"

namespace motley {
namespace {

DeviceInfo device(const std::string& name, DeviceKind kind, const std::string& pci = "") {
  DeviceInfo info;
  info.name = name;
  info.kind = kind;
  info.pci = pci;
  info.identity = pci.empty() ? "platform:" + name + ":0" : "pci:" + pci;
  return info;
}

const std::vector<DeviceInfo>& host() {
  static const std::vector<DeviceInfo> devices = {
      device("Radeon RX 7900", DeviceKind::gpu, "0000:03:00.0"),
      device("Arc A770", DeviceKind::gpu, "0000:65:00.0"), device("pthread-EPYC", DeviceKind::cpu),
      device("Oclgrind Simulator", DeviceKind::cpu)};
  return devices;
}

const std::vector<DeviceInfo>& cpu_host() {
  static const std::vector<DeviceInfo> devices = {device("pthread-EPYC", DeviceKind::cpu)};
  return devices;
}

TEST(DeviceSpec, HasAListForEveryHost) {
  const DeviceSpec spec = DeviceSpec::parse(" gpu ; node2 = index:1 , cpu;node3.lan=cpu");
  EXPECT_EQ(spec.list_for("node1"), DeviceList{"gpu"});
  EXPECT_EQ(spec.list_for("node2"), (DeviceList{"index:1", "cpu"}));
  EXPECT_EQ(spec.list_for("node2.example.org"), (DeviceList{"index:1", "cpu"}));
  EXPECT_EQ(spec.list_for("node3"), DeviceList{"cpu"});
  EXPECT_EQ(spec.list_for("node3.lan"), DeviceList{"cpu"});
}

TEST(DeviceSpec, IsAutoForAHostThatOnlyOthersListsLeaveOut) {
  EXPECT_EQ(DeviceSpec::parse("node2=cpu").list_for("node1"), DeviceList{"auto"});
}

TEST(DeviceSpec, RefusesWhatIsNoDevice) {
  for (const char* text : {"", "tpu", "CPU", "index:", "index:x", "index:1x", "index:-1",
                           "index:12345678901", "name:", "gpu:0", "pci:", "pci:zz", "cpu,", ",cpu",
                           "cpu;gpu", "=cpu", "node1=", "node1=cpu;node1=gpu", "cpu;"}) {
    EXPECT_THROW(DeviceSpec::parse(text), ConfigError) << text;
  }
}

TEST(CoreNeed, IsWhatTheListSays) {
  EXPECT_EQ(core_need({"cpu"}, 5), CoreNeed::device);
  EXPECT_EQ(core_need({"gpu"}, 0), CoreNeed::host);
  EXPECT_EQ(core_need({"pci:03:00.0", "cpu"}, 0), CoreNeed::host);
  EXPECT_EQ(core_need({"pci:03:00.0", "cpu"}, 1), CoreNeed::device);
  EXPECT_EQ(core_need({"auto"}, 0), CoreNeed::unknown);
}

struct Choice {
  DeviceList list;
  int local_rank;
  int local_size;
  const char* name;
};

class ChooseDevice : public testing::TestWithParam<Choice> {};

TEST_P(ChooseDevice, FindsTheRanksDevice) {
  const Choice& c = GetParam();
  EXPECT_EQ(choose_device(host(), c.list, c.local_rank, c.local_size).name, c.name);
}

INSTANTIATE_TEST_SUITE_P(
    Lists, ChooseDevice,
    testing::Values(Choice{{"auto"}, 0, 1, "Radeon RX 7900"}, Choice{{"auto"}, 1, 2, "Arc A770"},
                    Choice{{"gpu"}, 1, 2, "Arc A770"}, Choice{{"cpu"}, 0, 1, "pthread-EPYC"},
                    Choice{{"cpu"}, 3, 4, "pthread-EPYC"}, Choice{{"index:1"}, 0, 1, "Arc A770"},
                    Choice{{"index:2"}, 1, 2, "pthread-EPYC"},
                    Choice{{"name:arc"}, 0, 1, "Arc A770"},
                    Choice{{"name:EPYC"}, 1, 2, "pthread-EPYC"},
                    Choice{{"name:oclgrind"}, 0, 1, "Oclgrind Simulator"},
                    Choice{{"pci:0000:65:00.0"}, 0, 1, "Arc A770"},
                    Choice{{"pci:03:00.0"}, 0, 1, "Radeon RX 7900"},
                    Choice{{"gpu", "gpu", "cpu"}, 1, 3, "Arc A770"},
                    Choice{{"gpu", "gpu", "cpu"}, 2, 3, "pthread-EPYC"},
                    Choice{{"cpu", "gpu"}, 1, 2, "Radeon RX 7900"}));

TEST(ChooseDeviceAlone, UsesTheCpuOfAHostWithoutGpus) {
  EXPECT_EQ(choose_device(cpu_host(), {"auto"}, 2, 3).name, "pthread-EPYC");
}

TEST(ChooseDeviceAlone, RefusesAListThatIsTooShort) {
  const std::string text = message_of<EnvironmentError>([] {
    (void)choose_device(host(), {"gpu", "cpu"}, 2, 3);
  });
  expect_mentions(text, "3 ranks");
  expect_mentions(text, "gpu,cpu");
}

TEST(ChooseDeviceAlone, SaysWhatThereIsWhenNothingFits) {
  for (const char* item : {"index:4", "name:geforce", "pci:00:1f.0"}) {
    const std::string text =
        message_of<EnvironmentError>([&] { (void)choose_device(host(), {item}, 0, 1); });
    expect_mentions(text, "index:1 Arc A770 (gpu, pci:0000:65:00.0)");
  }
}

TEST(ChooseDeviceAlone, ExplainsAHostWithoutDevices) {
  EXPECT_EQ(message_of<EnvironmentError>([] { (void)choose_device({}, {"auto"}, 0, 1); }),
            explain_no_devices());
}

TEST(CountRanks, IsOneForADevice) {
  EXPECT_EQ(count_ranks(host(), {"auto"}, 2), 2u);
  EXPECT_EQ(count_ranks(host(), {"cpu"}, 2), 2u);
  EXPECT_EQ(count_ranks(cpu_host(), {"auto"}, 4), 4u);
  EXPECT_EQ(count_ranks(host(), {"gpu", "gpu", "cpu"}, 2), 3u);
  EXPECT_EQ(count_ranks(host(), {"name:arc"}, 2), 1u);
  EXPECT_EQ(count_ranks(cpu_host(), {"gpu"}, 1), 0u);
}

ChosenDevice chosen(int node, const DeviceInfo& info, const std::string& rank) {
  return {node, info.identity, info.kind, info.name, rank};
}

TEST(CheckSharing, RefusesTwoRanksOnOneGpuUnlessAllowed) {
  const std::vector<ChosenDevice> ranks = {chosen(0, host()[0], "rank 0 on a"),
                                           chosen(0, host()[1], "rank 1 on a"),
                                           chosen(0, host()[0], "rank 2 on a")};
  const std::string text =
      message_of<EnvironmentError>([&] { check_sharing(ranks, DeviceSharing::refuse); });
  expect_mentions(text, "rank 0 on a and rank 2 on a");
  expect_mentions(text, "Radeon RX 7900 (pci:0000:03:00.0)");
  expect_mentions(text, "--share-device");
  EXPECT_NO_THROW(check_sharing(ranks, DeviceSharing::allow));
}

TEST(CheckSharing, AllowsTheSameAddressOnTwoHostsAndACpuForMany) {
  const std::vector<ChosenDevice> ranks = {
      chosen(0, host()[0], "rank 0 on a"), chosen(1, host()[0], "rank 1 on b"),
      chosen(1, host()[2], "rank 2 on b"), chosen(1, host()[2], "rank 3 on b")};
  EXPECT_NO_THROW(check_sharing(ranks, DeviceSharing::refuse));
}

TEST(ExplainIdle, NamesGpusThatNobodyUses) {
  const std::vector<ChosenDevice> one = {chosen(0, host()[0], "rank 0 on a"),
                                         chosen(1, host()[1], "rank 1 on b")};
  const std::string text = explain_idle(host(), {"auto"}, one, 0);
  expect_mentions(text, "1 of 2 GPUs");
  expect_mentions(text, "Arc A770 (pci:0000:65:00.0)");
  EXPECT_EQ(explain_idle(host(), {"index:0"}, one, 0), "") << "the user chose";
  EXPECT_EQ(explain_idle(cpu_host(), {"auto"}, one, 0), "");
}

/// Ranks on one host, each with a device of its own, or sharing one.
TEST(AgreeOnDevice, GivesRanksTheirOwnDevicesOrFailsOnAll) {
  run_ranks(2, [](Communicator& comm) {
    const DeviceSpec spec = DeviceSpec::parse("gpu");
    const DeviceInfo info = agree_on_device(comm, host(), spec, DeviceSharing::refuse);
    EXPECT_EQ(info.name, comm.rank() == 0 ? "Radeon RX 7900" : "Arc A770");
    const DeviceSpec same = DeviceSpec::parse("index:1");
    EXPECT_THROW(agree_on_device(comm, host(), same, DeviceSharing::refuse), EnvironmentError);
    EXPECT_EQ(agree_on_device(comm, host(), same, DeviceSharing::allow).name, "Arc A770");
  });
}

}  // namespace
}  // namespace motley
