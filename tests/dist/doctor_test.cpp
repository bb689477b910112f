#include "dist/doctor.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "dist/thread_comm.h"
#include "tensor/error.h"
#include "tests/scratch_directory.h"

namespace motley {
namespace {

TEST(Findings, SurviveTheirText) {
  const Findings before = {{Verdict::ok, "a", "one\ntwo", ""},
                           {Verdict::warn, "b", "", "fix \x1f it"},
                           {Verdict::fail, "c", "x", "y"}};
  const Findings after = findings_from_text(to_text(before));
  ASSERT_EQ(after.size(), 3u);
  EXPECT_EQ(after[0].value, "one\ntwo");
  EXPECT_EQ(after[1].verdict, Verdict::warn);
  EXPECT_EQ(after[1].fix, "fix   it");
  EXPECT_EQ(after[2].verdict, Verdict::fail);
  EXPECT_EQ(worst(after), Verdict::fail);
  EXPECT_TRUE(findings_from_text("").empty());
  EXPECT_EQ(worst({}), Verdict::ok);
}

TEST(RunCheck, TurnsErrorsIntoFindings) {
  const Findings found = run_check("disk", []() -> Findings {
    throw EnvironmentError("device.none", "nothing there\n  fix: look elsewhere");
  });
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].verdict, Verdict::fail);
  EXPECT_EQ(found[0].name, "disk");
  EXPECT_EQ(found[0].value, "nothing there");
  EXPECT_EQ(found[0].fix, "look elsewhere");
  const Findings other =
      run_check("x", []() -> Findings { throw IoError("io.failed", "cannot read"); });
  EXPECT_EQ(other[0].fix, "see docs/errors.md on io.failed");
}

TEST(MergeFindings, PutsEqualOnesTogether) {
  const Finding same{Verdict::ok, "os", "Debian", ""};
  const Finding other{Verdict::ok, "os", "Ubuntu", ""};
  const std::vector<PlacedFinding> found = {{same, {"node1"}},
                                            {{Verdict::ok, "disk", "1 GiB", ""}, {"node1"}},
                                            {other, {"node2"}},
                                            {same, {"node3"}},
                                            {same, {"node1"}}};
  const auto merged = merge_findings(found);
  ASSERT_EQ(merged.size(), 3u);
  EXPECT_EQ(merged[2].finding.name, "disk");
  EXPECT_EQ(merged[0].places, (std::vector<std::string>{"node1", "node3"}));
  EXPECT_EQ(merged[1].places, (std::vector<std::string>{"node2"}));
}

constexpr std::uint32_t address(std::uint32_t a, std::uint32_t b, std::uint32_t c,
                                std::uint32_t d) {
  return a << 24 | b << 16 | c << 8 | d;
}

Interface lan(std::uint32_t last) {
  return {"eth0", address(192, 168, 1, last), 24};
}
const Interface docker{"docker0", address(172, 17, 0, 1), 16};

TEST(JudgeNetworks, AcceptsTheOneThatJoinsAll) {
  const std::vector<std::vector<Interface>> hosts = {{lan(1)}, {lan(2)}, {lan(3)}};
  const Finding finding = judge_networks(hosts, "");
  EXPECT_EQ(finding.verdict, Verdict::ok);
  expect_mentions(finding.value, "192.168.1.0/24 joins 3 hosts");
}

TEST(JudgeNetworks, WantsTheNetworkNamedWhereThereAreOthers) {
  const std::vector<std::vector<Interface>> hosts = {{docker, lan(1)}, {docker, lan(2)}};
  const Finding finding = judge_networks(hosts, "");
  EXPECT_EQ(finding.verdict, Verdict::warn);
  expect_mentions(finding.fix, "btl_tcp_if_include 192.168.1.0/24");
  EXPECT_EQ(judge_networks(hosts, "192.168.1.0/24").verdict, Verdict::ok);
}

TEST(JudgeNetworks, TakesNoBridgeForANetwork) {
  const std::vector<std::vector<Interface>> hosts = {{docker}, {docker}};
  EXPECT_EQ(judge_networks(hosts, "").verdict, Verdict::warn);
  expect_mentions(judge_networks(hosts, "").value, "no IPv4 network");
}

TEST(JudgeNetworks, WarnsOfAPublicNetwork) {
  const std::vector<std::vector<Interface>> hosts = {{{"eth0", address(203, 0, 113, 1), 24}},
                                                     {{"eth0", address(203, 0, 113, 2), 24}}};
  expect_mentions(judge_networks(hosts, "").value, "public");
}

TEST(CheckSystem, FindsWhatEveryHostHas) {
  const Findings found = check_system();
  ASSERT_EQ(found.size(), 5u);
  for (const Finding& finding : found) {
    EXPECT_FALSE(finding.value.empty()) << finding.name;
    EXPECT_NE(finding.verdict, Verdict::fail) << finding.name;
  }
}

TEST(CheckDisk, WritesWhereItMayAndLeavesNothing) {
  const ScratchDirectory scratch;
  const Findings found = check_disk(scratch / "not/there/yet");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_NE(found[0].verdict, Verdict::fail) << found[0].value;
  expect_mentions(found[0].value, scratch.path().string());
  EXPECT_TRUE(scratch.contents().empty());
}

TEST(CheckDisk, RefusesWhatCannotBeWritten) {
  EXPECT_EQ(check_disk("/proc/self")[0].verdict, Verdict::fail);
}

class Drivers : public testing::Test {
 protected:
  void SetUp() override { ::setenv("OCL_ICD_VENDORS", scratch_.path().c_str(), 1); }
  void TearDown() override { ::unsetenv("OCL_ICD_VENDORS"); }
  ScratchDirectory scratch_;
};

TEST_F(Drivers, MustBeThere) {
  const Findings found = check_opencl_drivers([](const std::string&) {});
  EXPECT_EQ(worst(found), Verdict::fail);
  expect_mentions(found.back().fix, "OCL_ICD_VENDORS");
}

TEST_F(Drivers, MustLoad) {
  scratch_.write("broken.icd", "/nowhere/libbroken.so\n");
  scratch_.write("empty.icd", "\n");
  scratch_.write("good.icd", "libm.so.6\n");
  scratch_.write("notes.txt", "no driver\n");
  const Findings found = check_opencl_drivers([](const std::string&) {});
  ASSERT_EQ(found.size(), 4u) << "the loader and three drivers";
  EXPECT_EQ(found[1].verdict, Verdict::fail);
  expect_mentions(found[1].name, "broken.icd");
  expect_mentions(found[1].value, "/nowhere/libbroken.so");
  expect_mentions(found[1].fix, "broken.icd");
  EXPECT_EQ(found[2].verdict, Verdict::fail);
  EXPECT_EQ(found[3].verdict, Verdict::ok);
}

TEST_F(Drivers, AreLoadedByALoaderOfAVersion) {
  std::vector<std::string> parts;
  const Findings found =
      check_opencl_drivers([&](const std::string& part) { parts.push_back(part); });
  EXPECT_EQ(found[0].name, "opencl loader");
  expect_mentions(found[0].value, "libOpenCL");
  expect_mentions(found[0].value, "OpenCL 3");
  EXPECT_EQ(parts.back(), "opencl loader") << "it loads all drivers, of which one may hang";
}

TEST(KnownTrouble, IsThatOfAPlatformAndItsDevice) {
  const auto trouble = [](const char* platform, const char* name) {
    DeviceInfo info;
    info.platform = platform;
    info.name = name;
    return known_trouble(info);
  };
  EXPECT_FALSE(trouble("Portable Computing Language", "pthread-skylake-avx512"));
  EXPECT_FALSE(trouble("NVIDIA CUDA", "NVIDIA H100 80GB HBM3"));
  EXPECT_FALSE(trouble("AMD Accelerated Parallel Processing", "gfx1030"));
  EXPECT_FALSE(trouble("rusticl", "AMD Radeon RX 5700 XT (gfx1010)"));
  ASSERT_TRUE(trouble("AMD Accelerated Parallel Processing", "gfx1010:xnack-"));
  ASSERT_TRUE(trouble("Clover", "AMD Radeon RX 580"));
  const auto oclgrind = trouble("Oclgrind", "Oclgrind Simulator");
  ASSERT_TRUE(oclgrind);
  expect_mentions(oclgrind->text, "simulator");
  EXPECT_FALSE(oclgrind->fix.empty());
}

TEST(FindSignalSender, TakesTheFirstRankOfMpirun) {
  const auto sender = [](std::vector<std::string> parents) { return find_signal_sender(parents); };
  EXPECT_EQ(sender({"mpirun", "mpirun"}), 0u);
  EXPECT_EQ(sender({"orted", "prterun", "orted"}), 1u);
  EXPECT_EQ(sender({"orted", "orted"}), std::nullopt) << "mpirun is on a host without ranks";
  EXPECT_EQ(sender({"mpirun", "bash"}), std::nullopt) << "the shell would die";
  EXPECT_EQ(sender({"slurmstepd"}), std::nullopt);
  EXPECT_EQ(sender({""}), std::nullopt);
}

TEST(CheckRanks, AgreesOnOneBuild) {
  run_ranks(2, [](Communicator& comm) {
    const Findings found = check_ranks(comm, "1.0");
    EXPECT_EQ(worst(found), Verdict::ok) << found[0].value;
    const Findings other = check_ranks(comm, comm.rank() == 0 ? "1.0" : "1.1");
    EXPECT_EQ(worst(other), Verdict::fail);
    expect_mentions(other[0].value, "version 1.1");
  });
}

TEST(ChecksBetweenRanks, FindThreadsInOrder) {
  const ScratchDirectory scratch;
  run_ranks(3, [&](Communicator& comm) {
    EXPECT_EQ(worst(check_network(comm)), Verdict::ok);
    EXPECT_EQ(worst(check_sums(comm)), Verdict::ok);
    EXPECT_EQ(worst(check_clocks(comm)), Verdict::ok);
    EXPECT_EQ(check_links(comm).size(), 3u);
    const Findings shared = check_shared_directory(comm, scratch.path());
    expect_mentions(shared[0].value, "every rank sees");
  });
  EXPECT_TRUE(scratch.contents().empty());
}

TEST(ChecksBetweenRanks, CompareSettings) {
  const ScratchDirectory scratch;
  const io::Path one = scratch.write("one.toml", "[train]\nsteps = 1\n");
  const io::Path two = scratch.write("two.toml", "[train]\nsteps = 2\n");
  run_ranks(3, [&](Communicator& comm) {
    const Findings same = check_settings_file(comm, one);
    ASSERT_EQ(same.size(), 1u);
    EXPECT_EQ(same[0].verdict, Verdict::ok) << same[0].value;
    const Findings other = check_settings_file(comm, comm.rank() == 2 ? two : one);
    EXPECT_EQ(worst(other), Verdict::fail);
    expect_mentions(other[0].value, "rank 2 has another");
    const Findings none = check_settings_file(comm, comm.rank() == 1 ? scratch / "no" : one);
    ASSERT_EQ(none.size(), 1u);
    EXPECT_EQ(none[0].verdict, Verdict::fail);
    expect_mentions(none[0].value, "rank 1 on ");
  });
}

TEST(ChecksBetweenRanks, ReportWhatFailsOnOneRank) {
  const ScratchDirectory scratch;
  std::filesystem::create_symlink("loop", scratch / "loop");
  run_ranks(3, [&](Communicator& comm) {
    const io::Path directory = comm.rank() == 1 ? scratch / "loop" : scratch.path();
    const Findings shared = check_shared_directory(comm, directory);
    ASSERT_EQ(shared.size(), 1u);
    EXPECT_EQ(shared[0].verdict, Verdict::fail);
    expect_mentions(shared[0].value, "rank 1 on ");
    EXPECT_EQ(worst(check_sums(comm)), Verdict::ok) << "ranks are still in step";
  });
  std::filesystem::remove(scratch / "loop");
  EXPECT_TRUE(scratch.contents().empty());
}

}  // namespace
}  // namespace motley
