// The watchdog's thread with ranks in this process; how whole jobs end is tested in tests/launch.
#include "dist/watchdog.h"

#include <gtest/gtest.h>

#include <future>
#include <string>

#include "dist/self_comm.h"
#include "tests/scratch_directory.h"

namespace motley {
namespace {

/// Settings under which a process that has completed a step gives up soon.
WatchdogSettings impatient(const ScratchDirectory& scratch, std::promise<void>& ended) {
  return {.log_directory = scratch / "log",
          .device = "a test",
          .step_timeout = 0.01,
          .end_job = [&ended] { ended.set_value(); }};
}

TEST(Watchdog, EndsAProcessThatStandsStill) {
  const ScratchDirectory scratch;
  std::promise<void> ended;
  SelfComm comm("here");
  comm.recorder().enter(Phase::compute, 1);
  comm.recorder().enter(Phase::compute, 2);
  comm.recorder().begin("reduce", 3);
  const Watchdog watchdog(comm, impatient(scratch, ended));
  ended.get_future().wait();
  const std::string dump = io::read_text(scratch / "log/stall-2/rank0.txt");
  for (const char* part :
       {"rank 0 on here (a test) is without progress", "step 2, compute", "'reduce bucket 3'"}) {
    EXPECT_NE(dump.find(part), std::string::npos) << part << " is not in\n" << dump;
  }
}

TEST(Watchdog, EndsAlsoWhenTheDumpCannotBeWritten) {
  const ScratchDirectory scratch;
  scratch.write("log", "a file where a directory should be");
  std::promise<void> ended;
  SelfComm comm("here");
  comm.recorder().enter(Phase::compute, 1);
  comm.recorder().enter(Phase::compute, 2);
  const Watchdog watchdog(comm, impatient(scratch, ended));
  ended.get_future().wait();
}

TEST(Watchdog, LeavesAProcessAloneThatHasFinishedBefore) {
  const ScratchDirectory scratch;
  std::promise<void> ended;
  SelfComm comm("here");
  { const Watchdog watchdog(comm, impatient(scratch, ended)); }
  EXPECT_EQ(ended.get_future().wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  EXPECT_TRUE(scratch.contents().empty());
}

}  // namespace
}  // namespace motley
