#include "train/gradient_ring.h"

#include <algorithm>

namespace motley {
namespace {

std::size_t block_of(const ParamLayout& layout, std::size_t offset) {
  std::size_t block = 0;
  while (layout.blocks[block].end <= offset) ++block;
  return block;
}

/// By block: whether all its parameters are of layers.
std::vector<bool> find_layer_blocks(const ParamLayout& layout) {
  std::vector<bool> is_of_layers(layout.blocks.size(), true);
  for (std::size_t i = 0; i < layout.specs.size(); ++i) {
    if (layout.specs[i].layer < 0) is_of_layers[block_of(layout, layout.offsets[i])] = false;
  }
  return is_of_layers;
}

/// Blocks come in rising order in every leaf.
std::vector<GradientRegions::Before> find_turns(const std::vector<std::size_t>& of_block) {
  const std::size_t num = of_block.size();
  std::vector<GradientRegions::Before> turns;
  for (std::size_t block = 0; block < num; ++block) {
    std::size_t back = 1;
    while (of_block[(block + num - back) % num] != of_block[block]) ++back;
    turns.push_back({(block + num - back) % num, back > block ? 1u : 0u});
  }
  return turns;
}

std::size_t size_of_block(const ParamLayout& layout, std::size_t block) {
  return layout.blocks[block].end - layout.blocks[block].begin;
}

}  // namespace

std::vector<std::size_t> GradientRegions::bucket_begins(const ParamLayout& layout) const {
  std::vector<std::size_t> begins;
  for (const ParamLayout::Bucket& bucket : layout.buckets)
    begins.push_back(regions[of_block[bucket.block]].begin + bucket.begin -
                     layout.blocks[bucket.block].begin);
  return begins;
}

GradientRegions whole_gradients(const ParamLayout& layout) {
  GradientRegions memory;
  for (std::size_t block = 0; block < layout.blocks.size(); ++block) {
    memory.regions.push_back({layout.blocks[block].begin, layout.blocks[block].end});
    memory.of_block.push_back(block);
  }
  memory.begins_at.assign(layout.blocks.size(), 0);
  memory.before = find_turns(memory.of_block);
  return memory;
}

GradientRegions ring_of_gradients(const ParamLayout& layout) {
  const std::vector<bool> is_of_layers = find_layer_blocks(layout);
  GradientRegions memory;
  memory.of_block.resize(layout.blocks.size());
  memory.begins_at.assign(layout.blocks.size(), 0);
  for (const ParamLayout::Bucket& bucket : layout.buckets) {
    if (is_of_layers[bucket.block]) memory.begins_at[bucket.block] = bucket.first_stage;
  }
  std::vector<std::size_t> sizes;
  std::vector<std::size_t> ring;  // regions that blocks of layers share
  std::size_t turn = 0;
  for (std::size_t block = 0; block < layout.blocks.size(); ++block) {
    const bool shares = is_of_layers[block] && ring.size() == ring_places;
    const std::size_t region = shares ? ring[turn++ % ring.size()] : sizes.size();
    if (!shares) sizes.push_back(0);
    if (!shares && is_of_layers[block]) ring.push_back(region);
    sizes[region] = std::max(sizes[region], size_of_block(layout, block));
    memory.of_block[block] = region;
  }
  std::size_t begin = 0;
  for (const std::size_t size : sizes) {
    memory.regions.push_back({begin, begin + size});
    begin += size;
  }
  memory.before = find_turns(memory.of_block);
  return memory;
}

}  // namespace motley
