// place() on real ranks of one host. Each test program run places once: it changes the process's
// environment.
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <set>

#include "dist/placement.h"
#include "mpi_main.h"
#include "tensor/io.h"

namespace motley {
namespace {

TEST(Place, GivesRanksOfOneHostTheirOwnCoresAndPoclAsManyThreads) {
  Communicator& comm = world();
  const Placement placement = place(comm);
  ASSERT_FALSE(placement.cores.empty());
  EXPECT_EQ(placement.num_threads, static_cast<int>(placement.cores.size()));
  EXPECT_EQ(std::getenv("POCL_MAX_PTHREAD_COUNT"), std::to_string(placement.cores.size()));
  EXPECT_EQ(std::getenv("POCL_CPU_MAX_CU_COUNT"), std::to_string(placement.cores.size()));
  EXPECT_EQ(placement.summary().find("cores "), 0u) << placement.summary();

  if (placement.allowed.size() < static_cast<std::size_t>(comm.size())) return;
  std::set<std::string> used;
  for (const std::string& cores : comm.all_gather_text(format_processors(placement.cores)))
    used.insert(cores);
  EXPECT_EQ(used.size(), static_cast<std::size_t>(comm.size()))
      << "two ranks were given the same cores";
}

TEST(Place, LeavesAloneWhatTheUserHasSet) {
  ::setenv("POCL_MAX_PTHREAD_COUNT", "3", 1);
  const Placement placement = place(world());
  EXPECT_EQ(placement.num_threads, 3);
  EXPECT_EQ(placement.threads_origin, "POCL_MAX_PTHREAD_COUNT");
  EXPECT_EQ(placement.cores, placement.allowed);
  EXPECT_STREQ(std::getenv("POCL_MAX_PTHREAD_COUNT"), "3");
}

TEST(Place, FindsPoclAnotherCacheWhenItsOwnCannotBeWritten) {
  const io::Path temporary = std::filesystem::temp_directory_path() /
                             fmt::format("motley-test-{}-{}", world().rank(), ::getpid());
  io::create_directories(temporary);
  io::File::create(temporary / "file").close();
  ::unsetenv("POCL_CACHE_DIR");
  ::setenv("XDG_CACHE_HOME", (temporary / "file").c_str(), 1);  // a file cannot hold a directory
  ::setenv("TMPDIR", temporary.c_str(), 1);
  const Placement placement = place(world());
  EXPECT_EQ(io::Path(placement.pocl_cache).parent_path(), temporary);
  EXPECT_STREQ(std::getenv("POCL_CACHE_DIR"), placement.pocl_cache.c_str());
  EXPECT_TRUE(io::is_writable_directory(placement.pocl_cache));
  ::unsetenv("POCL_CACHE_DIR");

  // Where somebody else could have put files, PoCL must not look for programs.
  std::filesystem::permissions(placement.pocl_cache, std::filesystem::perms::all);
  const Placement refused = place(world());
  EXPECT_TRUE(refused.pocl_cache.empty());
  EXPECT_EQ(std::getenv("POCL_CACHE_DIR"), nullptr);
  ASSERT_FALSE(refused.warnings.empty());
  EXPECT_NE(refused.warnings[0].find("POCL_CACHE_DIR"), std::string::npos) << refused.warnings[0];
  io::remove_all(temporary);
}

}  // namespace
}  // namespace motley
