// The canonical tree: what a range of leaves can sum on its own, and that every split leads to the
// same additions.
#include "dist/tree_sum.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>

#include "tensor/error.h"

namespace motley {
namespace {

TEST(MaximalNodes, AreTheLargestWithinARange) {
  EXPECT_EQ(maximal_nodes({0, 8}, 8), (std::vector<Range>{{0, 8}}));
  EXPECT_EQ(maximal_nodes({1, 7}, 8), (std::vector<Range>{{1, 2}, {2, 4}, {4, 6}, {6, 7}}));
  EXPECT_EQ(maximal_nodes({4, 7}, 7), (std::vector<Range>{{4, 7}}));  // cut off at the end
  EXPECT_EQ(maximal_nodes({3, 3}, 8), std::vector<Range>{});
  EXPECT_EQ(maximal_nodes({0, 1}, 1), (std::vector<Range>{{0, 1}}));
}

/// How the tree over G leaves writes a sum.
std::string written(std::size_t begin, std::size_t size, std::size_t num_leaves) {
  if (size == 1) return std::to_string(begin);
  const std::size_t middle = begin + size / 2;
  if (middle >= num_leaves) return written(begin, size / 2, num_leaves);
  return "(" + written(begin, size / 2, num_leaves) + "+" + written(middle, size / 2, num_leaves) +
         ")";
}

/// The same, as merges bring it about: a rank sums its nodes, somebody the rest.
std::vector<std::string> merged(const std::vector<Range>& nodes, std::vector<std::string> texts,
                                std::size_t num_leaves, std::vector<Range>& left) {
  const MergePlan plan = plan_merges(nodes, num_leaves);
  for (const TreeAdd& merge : plan.merges)
    texts[merge.into] = "(" + texts[merge.into] + "+" + texts[merge.from] + ")";
  std::vector<std::string> results;
  for (const std::size_t i : plan.results) results.push_back(texts[i]);
  left = plan.nodes;
  return results;
}

TEST(PlanMerges, GivesTheSameSumForEverySplitIntoThree) {
  for (std::size_t num_leaves = 1; num_leaves <= 20; ++num_leaves) {
    std::size_t size = 1;
    while (size < num_leaves) size *= 2;
    const std::string expected = written(0, size, num_leaves);
    for (std::size_t a = 0; a <= num_leaves; ++a) {
      for (std::size_t b = a; b <= num_leaves; ++b) {
        std::vector<Range> nodes;
        std::vector<std::string> texts;
        for (const Range& range : {Range{0, a}, Range{a, b}, Range{b, num_leaves}}) {
          std::vector<Range> leaves;
          std::vector<std::string> names;
          for (std::size_t leaf = range.begin; leaf < range.end; ++leaf) {
            leaves.push_back({leaf, leaf + 1});
            names.push_back(std::to_string(leaf));
          }
          std::vector<Range> left;
          const auto sums = merged(leaves, names, num_leaves, left);
          EXPECT_EQ(left, maximal_nodes(range, num_leaves));
          nodes.insert(nodes.end(), left.begin(), left.end());
          texts.insert(texts.end(), sums.begin(), sums.end());
        }
        std::vector<Range> left;
        const auto sums = merged(nodes, texts, num_leaves, left);
        ASSERT_EQ(sums, std::vector{expected}) << a << " " << b << " of " << num_leaves;
        EXPECT_EQ(left, (std::vector<Range>{{0, num_leaves}}));
      }
    }
  }
}

/// A rank that sums leaf by leaf ends with its maximal nodes, each summed as the tree says.
TEST(LeafStack, SumsTheNodesOfARange) {
  for (std::size_t num_leaves = 1; num_leaves <= 17; ++num_leaves) {
    for (std::size_t begin = 0; begin < num_leaves; ++begin) {
      for (std::size_t end = begin + 1; end <= num_leaves; ++end) {
        LeafStack stack({begin, end}, num_leaves);
        std::vector<std::string> slots(stack.num_slots());
        std::string leaf;
        std::size_t used = 0;
        for (std::size_t i = begin; i + 1 < end; ++i) {
          EXPECT_FALSE(stack.is_at_last());
          const LeafStack::Step step = stack.end_leaf();
          ASSERT_LT(step.slot, slots.size());
          used = std::max(used, step.slot + 1);
          leaf = std::to_string(i);
          for (const std::size_t slot : step.adds) leaf = "(" + slots[slot] + "+" + leaf + ")";
          slots[step.slot] = step.is_free ? leaf : "(" + slots[step.slot] + "+" + leaf + ")";
        }
        EXPECT_TRUE(stack.is_at_last());
        EXPECT_EQ(used, slots.size());
        leaf = std::to_string(end - 1);
        for (const std::size_t slot : stack.last_adds())
          leaf = "(" + slots[slot] + "+" + leaf + ")";
        const std::vector<Range> nodes = maximal_nodes({begin, end}, num_leaves);
        for (std::size_t i = 0; i < nodes.size(); ++i) {
          std::size_t size = 1;
          while (size < nodes[i].size()) size *= 2;
          EXPECT_EQ(i + 1 == nodes.size() ? leaf : slots[i],
                    written(nodes[i].begin, size, num_leaves));
        }
      }
    }
  }
}

/// Nodes of random sizes that arrive in order end as the tree's sum, in no more slots than said.
TEST(SumStack, EndsWithTheTreesSum) {
  for (std::size_t num_leaves = 1; num_leaves <= 40; ++num_leaves) {
    for (std::size_t width = 1; width <= 7; ++width) {
      SumStack stack;
      std::vector<std::string> slots;
      for (std::size_t begin = 0; begin < num_leaves; begin += width) {
        EXPECT_FALSE(stack.is_complete());
        for (const Range& node :
             maximal_nodes({begin, std::min(begin + width, num_leaves)}, num_leaves)) {
          std::size_t size = 1;
          while (size < node.size()) size *= 2;
          const std::string sum = written(node.begin, size, num_leaves);
          const SumStack::Step step = stack.push(node, num_leaves);
          if (slots.size() <= step.slot) slots.resize(step.slot + 1);
          slots[step.slot] = step.is_free ? sum : "(" + slots[step.slot] + "+" + sum + ")";
          for (std::size_t slot = step.slot; slot > step.slot - step.num_merges; --slot)
            slots[slot - 1] = "(" + slots[slot - 1] + "+" + slots[slot] + ")";
        }
      }
      std::size_t size = 1;
      while (size < num_leaves) size *= 2;
      EXPECT_EQ(slots[0], written(0, size, num_leaves)) << width << " of " << num_leaves;
      EXPECT_TRUE(stack.is_complete());
      EXPECT_EQ(stack.num_slots(), slots.size());
    }
  }
}

TEST(SumStack, NeedsASlotForEachDoublingOfTheRounds) {
  SumStack stack;  // eight rounds of four ranks
  for (std::size_t begin = 0; begin < 32; begin += 4) stack.push({begin, begin + 4}, 32);
  EXPECT_EQ(stack.num_slots(), 3u);
}

TEST(SumStack, AddsWholeTreesAsTheyCome) {
  SumStack stack;
  EXPECT_TRUE(stack.push({0, 3}, 3).is_free);
  for (const std::size_t leaves : {2u, 3u, 1u}) {
    const SumStack::Step step = stack.push({0, leaves}, leaves);
    EXPECT_EQ(step.slot, 0u);
    EXPECT_FALSE(step.is_free);
    EXPECT_TRUE(stack.is_complete());
  }
  EXPECT_EQ(stack.num_slots(), 1u);
}

TEST(SumStack, RefusesWhatDoesNotFollow) {
  SumStack stack;
  EXPECT_THROW(stack.push({1, 2}, 4), ShapeError);
  stack.push({0, 1}, 4);
  EXPECT_THROW(stack.push({2, 4}, 4), ShapeError);
  EXPECT_THROW(stack.push({0, 1}, 4), ShapeError);
  EXPECT_THROW(stack.push({1, 2}, 5), ShapeError);
}

TEST(AddTo, CountsDenormalsAsZero) {
  const float smallest = std::numeric_limits<float>::min();
  std::vector<float> into = {1.5f, smallest, smallest / 4, 0.0f};
  const std::vector<float> from = {2.0f, -smallest * 0.75f, 1.0f, smallest / 2};
  add_to(into, from);
#if defined(__SSE__) || defined(__aarch64__)
  // -0.75 of the smallest is itself a denormal: nothing is subtracted.
  EXPECT_EQ(into, (std::vector<float>{3.5f, smallest, 1.0f, 0.0f}));
#endif
}

}  // namespace
}  // namespace motley
