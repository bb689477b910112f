#include "tensor/file_lock.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "tests/scratch_directory.h"

namespace motley {
namespace {

using io::FileLock;

TEST(FileLock, HasOneHolder) {
  const ScratchDirectory scratch;
  std::optional<FileLock> first = FileLock::try_lock(scratch / "lock");
  ASSERT_TRUE(first);
  EXPECT_FALSE(FileLock::try_lock(scratch / "lock"));
  EXPECT_FALSE(FileLock::try_lock(scratch / "lock")) << "a refused one must not take the file away";
  expect_mentions(io::lock_holder(scratch / "lock"), "process " + std::to_string(::getpid()));
  first.reset();
  EXPECT_TRUE(io::list(scratch.path()).empty());
  EXPECT_TRUE(FileLock::try_lock(scratch / "lock"));
}

TEST(FileLock, TakesAFileThatNobodyHolds) {
  const ScratchDirectory scratch;
  scratch.write("lock", "process 1 on an older host, with more to say than we have\n");
  const std::optional<FileLock> lock = FileLock::try_lock(scratch / "lock");
  ASSERT_TRUE(lock);
  EXPECT_EQ(io::lock_holder(scratch / "lock").find("older"), std::string::npos);
}

TEST(FileLock, EndsWithAKilledProcess) {
  const ScratchDirectory scratch;
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const std::optional<FileLock> lock = FileLock::try_lock(scratch / "lock");
    const char done = lock ? 'y' : 'n';
    [[maybe_unused]] const ssize_t count = ::write(ready[1], &done, 1);
    for (;;) ::pause();
  }
  char done = 0;
  ASSERT_EQ(::read(ready[0], &done, 1), 1);
  EXPECT_EQ(done, 'y');
  EXPECT_FALSE(FileLock::try_lock(scratch / "lock"));
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(io::exists(scratch / "lock"));
  EXPECT_TRUE(FileLock::try_lock(scratch / "lock"));
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST(FileLock, NamesSomebodyWhenTheHolderHasGone) {
  const ScratchDirectory scratch;
  EXPECT_EQ(io::lock_holder(scratch / "lock"), "another process");
}

}  // namespace
}  // namespace motley
