#include "train/gradient_ring.h"

#include <gtest/gtest.h>

#include "tests/model/tiny_models.h"

namespace motley {
namespace {

/// Of so many layers that there are about twelve blocks.
ModelConfig deep_model(bool tie) {
  ModelConfig config = test::tiny_llama();
  config.layers = 30;
  config.width = 256;
  config.heads = 4;
  config.kv_heads = 4;
  config.head_dim = 64;
  config.mlp_width = 1024;
  config.tie = tie;
  return config;
}

/// The stage of the last block of which parameters are outside the layers comes last or first.
class Rings : public testing::TestWithParam<bool> {};

TEST_P(Rings, BlocksOfLayersTakeTurns) {
  const ParamLayout layout = param_layout(deep_model(GetParam()));
  ASSERT_GT(layout.blocks.size(), ring_places + 4) << "the model is too small for this test";
  const GradientRegions ring = ring_of_gradients(layout);
  EXPECT_EQ(ring.regions.size(), ring_places + 2);  // and one at each end
  const std::size_t last = layout.blocks.size() - 1;
  for (std::size_t block = 0; block < last; ++block) {
    const bool is_first = block == 0;
    EXPECT_EQ(ring.begins_at[block] == 0, is_first) << block;
    for (std::size_t other = block + 1; other <= last; ++other) {
      const bool in_turn = !is_first && other < last && (other - block) % ring_places == 0;
      EXPECT_EQ(ring.of_block[block] == ring.of_block[other], in_turn) << block << " " << other;
    }
  }
  EXPECT_EQ(ring.begins_at[last], 0u) << "written to at both ends when tied";
}

TEST_P(Rings, KnowWhatLayInAPlaceBefore) {
  const ParamLayout layout = param_layout(deep_model(GetParam()));
  const GradientRegions ring = ring_of_gradients(layout);
  using Before = GradientRegions::Before;
  const std::size_t last = layout.blocks.size() - 1;
  EXPECT_EQ(ring.before[0], (Before{0, 1}));
  EXPECT_EQ(ring.before[last], (Before{last, 1}));
  // Of blocks 1 .. last - 1, the last one that has a block's place comes before the first.
  for (std::size_t block = 1; block <= ring_places; ++block) {
    const std::size_t turns = (last - 1 - block) / ring_places;
    EXPECT_EQ(ring.before[block], (Before{block + turns * ring_places, 1})) << block;
  }
  for (std::size_t block = ring_places + 1; block < last; ++block)
    EXPECT_EQ(ring.before[block], (Before{block - ring_places, 0})) << block;
}

TEST_P(Rings, EveryBlockFitsItsRegionAndRegionsDoNotOverlap) {
  const ParamLayout layout = param_layout(deep_model(GetParam()));
  for (const GradientRegions& memory : {ring_of_gradients(layout), whole_gradients(layout)}) {
    std::size_t end = 0;
    for (const Range& region : memory.regions) {
      EXPECT_EQ(region.begin, end);
      end = region.end;
    }
    EXPECT_EQ(memory.size(), end);
    const std::vector<std::size_t> begins = memory.bucket_begins(layout);
    for (std::size_t b = 0; b < layout.buckets.size(); ++b) {
      const ParamLayout::Bucket& bucket = layout.buckets[b];
      const Range& region = memory.regions[memory.of_block[bucket.block]];
      EXPECT_GE(begins[b], region.begin);
      EXPECT_LE(begins[b] + bucket.end - bucket.begin, region.end);
    }
  }
}

TEST_P(Rings, AreSmallerThanAllGradients) {
  const ParamLayout layout = param_layout(deep_model(GetParam()));
  EXPECT_LT(ring_of_gradients(layout).size(), layout.size / 2);
  EXPECT_EQ(whole_gradients(layout).size(), layout.size);
}

/// Backward says that a stage begins before it writes to the stage's block.
TEST_P(Rings, BlocksBeginWithTheFirstStageThatWritesToThem) {
  const ParamLayout layout = param_layout(deep_model(GetParam()));
  const GradientRegions ring = ring_of_gradients(layout);
  for (std::size_t i = 0; i < layout.specs.size(); ++i) {
    std::size_t block = 0;
    while (layout.blocks[block].end <= layout.offsets[i]) ++block;
    EXPECT_LE(ring.begins_at[block], layout.specs[i].stage) << layout.specs[i].name;
  }
}

INSTANTIATE_TEST_SUITE_P(Heads, Rings, testing::Values(false, true), [](const auto& test) {
  return std::string(test.param ? "tied" : "untied");
});

TEST(GradientRing, OfASmallModelIsAllItsGradients) {
  const ParamLayout layout = param_layout(test::tiny_gpt2());
  EXPECT_EQ(ring_of_gradients(layout).size(), layout.size);
}

}  // namespace
}  // namespace motley
