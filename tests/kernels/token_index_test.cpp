#include "kernels/token_index.h"

#include <gtest/gtest.h>

#include <limits>
#include <map>

#include "tensor/random.h"

namespace motley {
namespace {

using List = std::vector<std::int32_t>;

TEST(TokenIndex, GroupsPositionsByTokenInOrder) {
  const HostTokenIndex index = index_tokens(List{5, 2, 5, 9, 2, 5});
  EXPECT_EQ(index.rows, (List{2, 5, 9}));
  EXPECT_EQ(index.starts, (List{0, 2, 5, 6}));
  EXPECT_EQ(index.positions, (List{1, 4, 0, 2, 5, 3}));
}

TEST(TokenIndex, OfNoTokensHasNoRowsAndOneStart) {
  const HostTokenIndex index = index_tokens({});
  EXPECT_EQ(index.rows, List{});
  EXPECT_EQ(index.starts, List{0});
  EXPECT_EQ(index.positions, List{});
}

TEST(TokenIndex, OfOneTokenRepeatedIsOneRow) {
  const HostTokenIndex index = index_tokens(List{7, 7, 7});
  EXPECT_EQ(index.rows, List{7});
  EXPECT_EQ(index.starts, (List{0, 3}));
  EXPECT_EQ(index.positions, (List{0, 1, 2}));
}

TEST(TokenIndex, KeepsValuesThatNoTableHas) {
  constexpr std::int32_t lowest = std::numeric_limits<std::int32_t>::min();
  constexpr std::int32_t highest = std::numeric_limits<std::int32_t>::max();
  const HostTokenIndex index = index_tokens(List{highest, 0, -1, lowest});
  EXPECT_EQ(index.rows, (List{lowest, -1, 0, highest}));
  EXPECT_EQ(index.positions, (List{3, 2, 1, 0}));
}

TEST(TokenIndex, AgreesWithAMapForManyTokens) {
  const Random random(1, Purpose::test);
  List tokens(5000);
  std::map<std::int32_t, List> expected;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    tokens[i] = static_cast<std::int32_t>(random.word(i) % 701);
    expected[tokens[i]].push_back(static_cast<std::int32_t>(i));
  }
  const HostTokenIndex index = index_tokens(tokens);
  HostTokenIndex flat;
  for (const auto& [token, positions] : expected) {
    flat.rows.push_back(token);
    flat.starts.push_back(static_cast<std::int32_t>(flat.positions.size()));
    flat.positions.insert(flat.positions.end(), positions.begin(), positions.end());
  }
  flat.starts.push_back(static_cast<std::int32_t>(tokens.size()));
  EXPECT_EQ(index.rows, flat.rows);
  EXPECT_EQ(index.starts, flat.starts);
  EXPECT_EQ(index.positions, flat.positions);
}

}  // namespace
}  // namespace motley
