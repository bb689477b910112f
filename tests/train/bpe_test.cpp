#include "train/bpe.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tensor/random.h"

namespace motley {
namespace {

using Tokens = std::vector<std::uint32_t>;

/// The definition: look at all neighbours, merge the leftmost pair of the lowest rank, start again.
Tokens naive(Tokens tokens, const std::vector<Merge>& merges) {
  for (;;) {
    std::size_t best_rank = merges.size();
    std::size_t best_at = 0;
    for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
      for (std::size_t rank = 0; rank < best_rank; ++rank) {
        if (merges[rank].left == tokens[i] && merges[rank].right == tokens[i + 1]) {
          best_rank = rank;
          best_at = i;
        }
      }
    }
    if (best_rank == merges.size()) return tokens;
    tokens[best_at] = merges[best_rank].result;
    tokens.erase(tokens.begin() + static_cast<std::ptrdiff_t>(best_at) + 1);
  }
}

/// Merges of random pairs. In a wild set a merge may need the result of a later one, as no trainer
/// makes but a file may hold.
std::vector<Merge> random_merges(const Random& random, std::uint32_t num_bytes, std::uint32_t count,
                                 bool wild) {
  std::vector<Merge> merges;
  std::set<std::pair<std::uint32_t, std::uint32_t>> seen;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t known = num_bytes + (wild ? count : i);
    const std::uint32_t left = random.word(2 * i) % known;
    const std::uint32_t right = random.word(2 * i + 1) % known;
    if (seen.emplace(left, right).second) merges.push_back({left, right, num_bytes + i});
  }
  return merges;
}

TEST(Bpe, EqualsTheDefinition) {
  for (std::uint64_t round = 0; round < 300; ++round) {
    const Random random(round, Purpose::test, 1);
    const std::uint32_t num_bytes = 2 + random.word(100000) % 4;
    const std::vector<Merge> merges = random_merges(random, num_bytes, 30, round % 2 == 1);
    const BpeMerges bpe(merges);
    // Around the length from where a heap is used, and far from it.
    for (const std::size_t length : {0u, 1u, 2u, 7u, 47u, 48u, 49u, 50u, 160u}) {
      Tokens tokens(length);
      for (std::size_t i = 0; i < length; ++i) tokens[i] = random.word(1000 + i) % num_bytes;
      Tokens merged = tokens;
      bpe.apply(merged, 0);
      ASSERT_EQ(merged, naive(tokens, merges)) << "round " << round << " length " << length;
    }
  }
}

TEST(Bpe, MergesRunsFromTheLeft) {
  const BpeMerges bpe(std::vector<Merge>{{0, 0, 1}, {1, 1, 2}});
  Tokens tokens(7, 0);
  bpe.apply(tokens, 0);
  EXPECT_EQ(tokens, (Tokens{2, 1, 0}));
  tokens.assign(103, 0);
  bpe.apply(tokens, 0);
  Tokens expected(25, 2);
  expected.insert(expected.end(), {1, 0});
  EXPECT_EQ(tokens, expected);
}

TEST(Bpe, LeavesTokensBeforeTheFirstAlone) {
  const BpeMerges bpe(std::vector<Merge>{{0, 0, 1}});
  Tokens tokens{0, 0, 0, 0, 0};
  bpe.apply(tokens, 3);
  EXPECT_EQ(tokens, (Tokens{0, 0, 0, 1}));
}

TEST(Bpe, FindsRanks) {
  const BpeMerges bpe(std::vector<Merge>{{5, 6, 7}, {0xFFFFFFFE, 3, 1}});
  EXPECT_EQ(bpe.rank(5, 6), 0u);
  EXPECT_EQ(bpe.rank(0xFFFFFFFE, 3), 1u);
  EXPECT_EQ(bpe.rank(6, 5), BpeMerges::none);
  EXPECT_EQ(BpeMerges().rank(0, 0), BpeMerges::none);
}

}  // namespace
}  // namespace motley
