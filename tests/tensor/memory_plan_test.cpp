#include "tensor/memory_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "tensor/error.h"

namespace motley {
namespace {

constexpr ArenaLimits roomy{.allocation = std::size_t{1} << 40};
constexpr std::size_t page = memory_granule;

std::size_t rounded(const LivingBlock& block) {
  return (std::max<std::size_t>(block.bytes, 1) + page - 1) / page * page;
}

bool live_together(const LivingBlock& a, const LivingBlock& b) {
  return a.begin < b.end && b.begin < a.end;
}

/// No two blocks that live at the same time share a byte, and each lies within its arena.
void expect_sound(const std::vector<LivingBlock>& blocks, const MemoryPlan& plan) {
  ASSERT_EQ(plan.blocks.size(), blocks.size());
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const PlannedBlock& a = plan.blocks[i];
    ASSERT_LT(a.arena, plan.arenas.size());
    EXPECT_EQ(a.offset % page, 0u);
    EXPECT_LE(a.offset + rounded(blocks[i]), plan.arenas[a.arena]);
    for (std::size_t j = 0; j < i; ++j) {
      const PlannedBlock& b = plan.blocks[j];
      if (a.arena != b.arena || !live_together(blocks[i], blocks[j])) continue;
      EXPECT_TRUE(a.offset + rounded(blocks[i]) <= b.offset ||
                  b.offset + rounded(blocks[j]) <= a.offset)
          << i << " and " << j;
    }
  }
}

TEST(MemoryPlan, OfNothingIsNothing) {
  EXPECT_TRUE(plan_memory({}, roomy).arenas.empty());
}

TEST(MemoryPlan, WhatNeverLivesTogetherSharesMemory) {
  const std::vector<LivingBlock> blocks{{3 * page, 0, 2}, {2 * page, 2, 4}, {page, 2, 4}};
  const MemoryPlan plan = plan_memory(blocks, roomy);
  expect_sound(blocks, plan);
  EXPECT_EQ(plan.arenas, std::vector<std::size_t>{3 * page});
}

/// Of other sizes, which blocks of a pool could not do.
TEST(MemoryPlan, ALargeBlockTakesThePlaceOfTwoSmallOnes) {
  const std::vector<LivingBlock> blocks{{page, 0, 5}, {2 * page, 1, 5}, {3 * page, 5, 6}};
  EXPECT_EQ(plan_memory(blocks, roomy).arenas, std::vector<std::size_t>{3 * page});
}

/// As forward and backward do it: layer after layer saves, and the last saved is needed first.
TEST(MemoryPlan, NestedLivesTakeWhatLivesAtOnce) {
  constexpr std::size_t layers = 9;
  std::vector<LivingBlock> blocks;
  for (std::size_t layer = 0; layer < layers; ++layer) {
    blocks.push_back({4 * page, 2 * layer, 40 - 2 * layer});
    blocks.push_back({7 * page, 2 * layer, 2 * layer + 1});
    blocks.push_back({7 * page, 39 - 2 * layer, 40 - 2 * layer});
  }
  const MemoryPlan plan = plan_memory(blocks, roomy);
  expect_sound(blocks, plan);
  EXPECT_EQ(plan.arenas, std::vector<std::size_t>{(4 * layers + 7) * page});
}

TEST(MemoryPlan, IsSoundForBlocksOfAnySizeAndLife) {
  for (unsigned seed = 0; seed < 30; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&](unsigned limit) { return static_cast<std::size_t>(random() % limit); };
    std::vector<LivingBlock> blocks(80);
    for (LivingBlock& block : blocks) {
      block.bytes = below(20 * page);
      block.begin = below(100);
      block.end = block.begin + below(30);
    }
    expect_sound(blocks, plan_memory(blocks, roomy));
    const ArenaLimits tight{.allocation = 40 * page, .arena = 25 * page};
    const MemoryPlan split = plan_memory(blocks, tight);
    expect_sound(blocks, split);
    EXPECT_GT(split.arenas.size(), 1u);
    for (const std::size_t arena : split.arenas) EXPECT_LE(arena, 25 * page);
  }
}

TEST(MemoryPlan, OnlyABlockThatIsLargerMakesAnArenaLargerThanUsual) {
  const ArenaLimits limits{.allocation = 10 * page, .arena = 4 * page};
  const std::vector<LivingBlock> blocks{{9 * page, 0, 2}, {3 * page, 1, 3}, {2 * page, 1, 3}};
  const MemoryPlan plan = plan_memory(blocks, limits);
  expect_sound(blocks, plan);
  EXPECT_EQ(plan.arenas, (std::vector<std::size_t>{9 * page, 3 * page, 2 * page}));
}

TEST(MemoryPlan, RefusesABlockThatNoBufferCanHold) {
  const std::vector<LivingBlock> blocks{{page, 0, 1}, {page + 1, 0, 1}};
  try {
    plan_memory(blocks, {.allocation = page});
    FAIL();
  } catch (const DeviceError& e) {
    EXPECT_EQ(e.code(), "memory.max-allocation");
  }
}

}  // namespace
}  // namespace motley
