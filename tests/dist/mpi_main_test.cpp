// That a test that fails on one rank ends the whole program, though the other ranks wait for that
// rank. The failing tests are disabled in an ordinary run; CTest runs each by name and expects its
// message.
#include "mpi_main.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace motley {
namespace {

bool is_last() {
  return world().rank() == world().size() - 1;
}

TEST(MpiMain, KnowsTheWorld) {
  EXPECT_EQ(world().all_reduce_max(world().rank()), world().size() - 1);
}

TEST(MpiMain, DISABLED_ExpectsOnOneRank) {
  EXPECT_FALSE(is_last()) << "only on the last rank";
  if (!is_last()) world().barrier();
}

TEST(MpiMain, DISABLED_ThrowsOnOneRank) {
  if (is_last()) throw std::runtime_error("only on the last rank");
  world().barrier();
}

}  // namespace
}  // namespace motley
