#include "train/prefetch.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>

namespace motley {
namespace {

// A batch that says which leaf it is.
Batch marked(std::uint64_t step, std::size_t leaf) {
  Batch batch;
  batch.tokens = {static_cast<std::int32_t>(step), static_cast<std::int32_t>(leaf)};
  return batch;
}

LeafRange two_of_four(std::uint64_t) {
  return {1, 3};
}

class Capacities : public testing::TestWithParam<std::size_t> {};

TEST_P(Capacities, LeavesComeInOrder) {
  Prefetcher prefetcher(5, GetParam(), two_of_four, marked);
  for (std::uint64_t step = 5; step < 40; ++step) {
    for (std::size_t index = 1; index < 3; ++index) {
      const Leaf leaf = prefetcher.next();
      EXPECT_EQ(leaf.step, step);
      EXPECT_EQ(leaf.index, index);
      EXPECT_EQ(leaf.batch.tokens, marked(step, index).tokens);
    }
  }
}
INSTANTIATE_TEST_SUITE_P(All, Capacities, testing::Values(0, 1, 2, 7, 100));

TEST(Prefetch, FollowsARangeThatChangesAndMayBeEmpty) {
  Prefetcher prefetcher(
      0, 3,
      [](std::uint64_t step) {
        return LeafRange{0, static_cast<std::size_t>(step % 3)};
      },
      marked);
  const std::vector<std::pair<std::uint64_t, std::size_t>> expected = {
      {1, 0}, {2, 0}, {2, 1}, {4, 0}, {5, 0}, {5, 1}, {7, 0}};
  for (const auto& [step, index] : expected) {
    const Leaf leaf = prefetcher.next();
    EXPECT_EQ(leaf.step, step);
    EXPECT_EQ(leaf.index, index);
  }
}

TEST(Prefetch, NeverReadsFurtherAheadThanItsCapacity) {
  constexpr int capacity = 4;
  std::atomic<int> made = 0;
  Prefetcher prefetcher(0, capacity, two_of_four, [&](std::uint64_t step, std::size_t leaf) {
    ++made;
    return marked(step, leaf);
  });
  for (int taken = 1; taken < 200; ++taken) {
    prefetcher.next();
    // The queue, and the one leaf that waits for room in it.
    EXPECT_LE(made.load(), taken + capacity + 1);
  }
}

TEST(Prefetch, ThrowsAtTheLeafThatFailedAndEverAfter) {
  Prefetcher prefetcher(0, 8, two_of_four, [](std::uint64_t step, std::size_t leaf) {
    if (step == 3) throw std::runtime_error("the disk is gone");
    return marked(step, leaf);
  });
  for (int i = 0; i < 6; ++i) prefetcher.next();
  EXPECT_THROW(prefetcher.next(), std::runtime_error);
  EXPECT_THROW(prefetcher.next(), std::runtime_error);
}

TEST(Prefetch, ThrowsWhatThePlanThrew) {
  Prefetcher prefetcher(
      0, 2, [](std::uint64_t) -> LeafRange { throw std::out_of_range("no such step"); }, marked);
  EXPECT_THROW(prefetcher.next(), std::out_of_range);
}

TEST(Prefetch, StopsWithAFullQueueAndWithNothingTaken) {
  for (int i = 0; i < 50; ++i) {
    Prefetcher untouched(0, 2, two_of_four, marked);
    Prefetcher full(0, 2, two_of_four, marked);
    full.next();
  }
}

TEST(Prefetch, StopsWhenNoStepHasALeaf) {
  const Prefetcher prefetcher(
      0, 2, [](std::uint64_t) { return LeafRange{}; }, marked);
}

}  // namespace
}  // namespace motley
