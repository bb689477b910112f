#include "train/suggest.h"

#include <gtest/gtest.h>

#include <vector>

namespace motley {
namespace {

TEST(EditDistance, CountsInsertionsDeletionsReplacementsAndSwaps) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("abc", ""), 3U);
  EXPECT_EQ(edit_distance("warmup", "warmpu"), 1U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("layers", "layer"), 1U);
}

TEST(Nearest, FindsFewEditsThenASharedWord) {
  const std::vector<std::string> keys{"steps", "micro_batch", "global_batch", "seed"};
  EXPECT_EQ(nearest("step", keys), "steps");
  EXPECT_EQ(nearest("sede", keys), "seed");
  EXPECT_EQ(nearest("batchsize", keys), "micro_batch");
  EXPECT_EQ(nearest("zzzz", keys), "");
  EXPECT_EQ(nearest("", keys), "");
}

TEST(Suggestion, IsEmptyWhenNothingIsSimilar) {
  const std::vector<std::string> keys{"lr"};
  EXPECT_EQ(suggestion("lr2", keys), "; did you mean 'lr'?");
  EXPECT_EQ(suggestion("quite_other", keys), "");
}

}  // namespace
}  // namespace motley
