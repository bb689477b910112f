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

using Leaves = std::vector<std::size_t>;

Leaves two_of_four(std::uint64_t) {
  return {1, 3};
}

// So far ahead that only the number of leaves counts.
constexpr std::uint64_t far = 1000;

class Capacities : public testing::TestWithParam<std::size_t> {};

TEST_P(Capacities, LeavesComeInOrder) {
  Prefetcher prefetcher(5, {GetParam(), 2}, two_of_four, marked);
  for (std::uint64_t step = 5; step < 40; ++step) {
    prefetcher.begin_step(step);
    for (const std::size_t index : {1u, 3u}) {
      const Leaf leaf = prefetcher.next();
      EXPECT_EQ(leaf.step, step);
      EXPECT_EQ(leaf.index, index);
      EXPECT_EQ(leaf.batch.tokens, marked(step, index).tokens);
    }
  }
}
INSTANTIATE_TEST_SUITE_P(All, Capacities, testing::Values(0, 1, 2, 7, 100));

TEST(Prefetch, FollowsLeavesThatChangeAndMayBeNone) {
  const auto leaves = [](std::uint64_t step) {
    return step % 3 == 0 ? Leaves{} : Leaves{step % 3, 7};
  };
  Prefetcher prefetcher(0, {3, 0}, leaves, marked);
  for (std::uint64_t step = 0; step < 20; ++step) {
    prefetcher.begin_step(step);
    for (const std::size_t index : leaves(step)) {
      const Leaf leaf = prefetcher.next();
      EXPECT_EQ(leaf.step, step);
      EXPECT_EQ(leaf.index, index);
    }
  }
}

TEST(Prefetch, GoesOnAfterManyStepsWithoutALeaf) {
  const auto leaves = [](std::uint64_t step) { return step < 500 ? Leaves{} : Leaves{0}; };
  Prefetcher prefetcher(0, {2, 3}, leaves, marked);
  for (std::uint64_t step = 0; step <= 500; ++step) prefetcher.begin_step(step);
  EXPECT_EQ(prefetcher.next().step, 500u);
}

// What re-planning relies on: a step's leaves may change until it can have been asked for.
TEST(Prefetch, AsksForNoStepTooFarAhead) {
  constexpr std::uint64_t ahead = 3;
  std::atomic<std::uint64_t> begun = 10;
  std::atomic<std::uint64_t> asked = 0;
  std::atomic<bool> too_far = false;
  Prefetcher prefetcher(
      10, {far, ahead},
      [&](std::uint64_t step) {
        if (step > begun + ahead) too_far = true;
        asked = step;
        return Leaves{};
      },
      marked);
  for (std::uint64_t step = 10; step < 200; ++step) {
    begun = step;
    prefetcher.begin_step(step);
    while (asked < step + ahead) std::this_thread::yield();
  }
  EXPECT_FALSE(too_far);
}

TEST(Prefetch, NeverReadsFurtherAheadThanItsCapacity) {
  constexpr int capacity = 4;
  std::atomic<int> made = 0;
  Prefetcher prefetcher(0, {capacity, far}, two_of_four, [&](std::uint64_t step, std::size_t leaf) {
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
  Prefetcher prefetcher(0, {8, far}, two_of_four, [](std::uint64_t step, std::size_t leaf) {
    if (step == 3) throw std::runtime_error("the disk is gone");
    return marked(step, leaf);
  });
  for (int i = 0; i < 6; ++i) prefetcher.next();
  EXPECT_THROW(prefetcher.next(), std::runtime_error);
  EXPECT_THROW(prefetcher.next(), std::runtime_error);
}

TEST(Prefetch, ThrowsWhatThePlanThrew) {
  Prefetcher prefetcher(
      0, {2, far}, [](std::uint64_t) -> Leaves { throw std::out_of_range("no such step"); },
      marked);
  EXPECT_THROW(prefetcher.next(), std::out_of_range);
}

TEST(Prefetch, StopsWithAFullQueueAndWithNothingTaken) {
  for (int i = 0; i < 50; ++i) {
    Prefetcher untouched(0, {2, far}, two_of_four, marked);
    Prefetcher full(0, {2, far}, two_of_four, marked);
    full.next();
  }
}

TEST(Prefetch, StopsWhenNoStepHasALeaf) {
  const Prefetcher prefetcher(
      0, {2, far}, [](std::uint64_t) { return Leaves{}; }, marked);
}

}  // namespace
}  // namespace motley
