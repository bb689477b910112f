#include "train/run_lock.h"

#include <gtest/gtest.h>

#include "tensor/error.h"
#include "tests/scratch_directory.h"

namespace motley {
namespace {

TEST(RunLock, KeepsOthersOutAndNamesTheHolder) {
  const ScratchDirectory scratch;
  const io::Path run = scratch / "run";
  {
    const RunLock first(run);
    const std::string text = message_of<ConfigError>([&] { const RunLock second(run); });
    expect_mentions(text, "process " + std::to_string(::getpid()));
    expect_mentions(text, "--train.run");
  }
  const RunLock later(run);
}

TEST(RunLock, TakesAwayWhatItMadeForNothing) {
  const ScratchDirectory scratch;
  { const RunLock lock(scratch.path() / "a" / "b" / ""); }
  EXPECT_TRUE(io::list(scratch.path()).empty());
}

TEST(RunLock, LeavesWhatHoldsSomethingOrWasThere) {
  const ScratchDirectory scratch;
  io::create_directories(scratch / "empty");
  { const RunLock lock(scratch / "empty"); }
  {
    const RunLock lock(scratch.path() / "a" / "b");
    scratch.write("a/notes.txt", "mine");
  }
  EXPECT_EQ(io::list(scratch.path()), (std::vector<std::string>{"a", "empty"}));
  EXPECT_EQ(io::list(scratch / "a"), std::vector<std::string>{"notes.txt"});
}

}  // namespace
}  // namespace motley
