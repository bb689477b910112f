#include "dist/straggler_watch.h"

#include <gtest/gtest.h>

namespace motley {
namespace {

/// Windows of steps in which ranks are busy for these seconds; all that was reported.
std::vector<Straggler> watch(StragglerWatch& straggler_watch, const std::vector<double>& busy,
                             std::size_t windows) {
  std::vector<RankWork> work;
  work.reserve(busy.size());
  for (const double seconds : busy)
    work.push_back({.leaves = seconds > 0 ? 1u : 0u, .leaf_seconds = seconds});
  std::vector<Straggler> all;
  for (std::size_t step = 0; step < windows * StragglerWatch::window; ++step) {
    for (const Straggler& found : straggler_watch.observe(work)) all.push_back(found);
  }
  return all;
}

TEST(StragglerWatch, ReportsARankOnceAfterThreeWindows) {
  StragglerWatch straggler_watch(3);
  EXPECT_TRUE(watch(straggler_watch, {1, 2, 1}, 2).empty());
  const std::vector<Straggler> found = watch(straggler_watch, {1, 2, 1}, 1);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].rank, 1);
  EXPECT_DOUBLE_EQ(found[0].score, 0.5);
  EXPECT_TRUE(watch(straggler_watch, {1, 2, 1}, 5).empty());
}

TEST(StragglerWatch, ReportsAgainAfterTheRankKeptUp) {
  StragglerWatch straggler_watch(2);
  EXPECT_EQ(watch(straggler_watch, {1, 2}, 4).size(), 1u);
  EXPECT_TRUE(watch(straggler_watch, {1, 1}, 1).empty());
  EXPECT_EQ(watch(straggler_watch, {1, 2}, 4).size(), 1u);
}

TEST(StragglerWatch, ForgivesSmallDifferencesAndShortOnes) {
  StragglerWatch straggler_watch(3);
  EXPECT_TRUE(watch(straggler_watch, {1, 1.4, 1}, 10).empty());
  EXPECT_TRUE(watch(straggler_watch, {0.001, 0.0029, 0.001}, 10).empty()) << "noise";
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(watch(straggler_watch, {1, 3, 1}, 2).empty());
    EXPECT_TRUE(watch(straggler_watch, {1, 1, 1}, 1).empty());
  }
}

TEST(StragglerWatch, ComparesWithRanksThatHaveLeaves) {
  StragglerWatch idle(3);
  EXPECT_TRUE(watch(idle, {1, 0, 0}, 5).empty());
  StragglerWatch alone(1);
  EXPECT_TRUE(watch(alone, {1}, 5).empty());
}

}  // namespace
}  // namespace motley
