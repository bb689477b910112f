// Sums and values through every kind of memory that a device may work in, with buckets that no
// number divides, some larger than all page-locked memory together, on ranks of one host and of
// several. What a device cannot do (a GPU in the host's memory) is left out.
#include "train/gradient_reducer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "dist/thread_comm.h"
#include "tensor/half.h"
#include "tensor/hash.h"
#include "tensor/staging.h"
#include "tests/train/tiny_training.h"

namespace motley {
namespace {

constexpr std::size_t chunk = 4096;  // where buckets may begin

/// Blocks of one, two and three buckets, of these sizes in chunks.
ParamLayout layout_of(const std::vector<std::vector<std::size_t>>& blocks) {
  ParamLayout layout;
  for (const std::vector<std::size_t>& buckets : blocks) {
    const std::size_t begin = layout.size;
    for (const std::size_t chunks : buckets) {
      layout.buckets.push_back({layout.blocks.size(), layout.size, layout.size + chunks * chunk,
                                layout.blocks.size(), layout.blocks.size()});
      layout.size += chunks * chunk;
    }
    layout.blocks.push_back({begin, layout.size});
  }
  return layout;
}

/// Integers whose sums bf16 holds, so that every order of additions gives the same.
float gradient_of(std::size_t leaf, std::size_t i) {
  return static_cast<float>((i * 2654435761u + leaf * 40503u) >> 7 & 31u) - 16.0f;
}

struct Case {
  const char* name;
  HostMemory memory;
  int ranks;
  int per_host;  // 0: all
  Wire wire;
  std::vector<std::vector<std::size_t>> blocks;
  bool shard_gradients = false;
};

class Carriers : public testing::TestWithParam<Case> {
 public:
  /// A step on one rank: its leaves, the sums of its parts, and everybody's values.
  static void step(GradientReducer& reducer, Device& device, Communicator& comm,
                   const ParamLayout& layout, const LeafPlan& plan) {
    Stream& s = device.stream();
    ParamMemory memory = reducer.memory();
    const LeafDeal deal = deal_leaves(plan, reducer.rank_order(), reducer.dealing());
    reducer.begin_step(deal);
    for (const std::size_t leaf : deal.leaves(comm.rank())) {
      for (std::size_t block = 0; block < layout.blocks.size(); ++block)
        add_block(s, reducer, layout, block, leaf);
      reducer.end_leaf();
    }
    reducer.finish_reduce();
    EXPECT_EQ(reducer.count_non_finite().count, 0u);
    for (std::size_t b = 0; b < reducer.num_buckets(); ++b)
      update(s, layout, b, reducer, plan.num_leaves());
    reducer.start_gather();
    reducer.wait_for_all();
    for (std::size_t block = 0; block < layout.blocks.size(); ++block)
      expect_values(s, memory.values[block], layout.blocks[block].begin, plan.num_leaves());
  }

  /// As backward does with a block, of which each is a stage.
  static void add_block(Stream& s, GradientReducer& reducer, const ParamLayout& layout,
                        std::size_t block, std::size_t leaf) {
    reducer.prepare_stage(block);
    ParamMemory memory = reducer.memory();
    std::vector<float> values(memory.gradients[block].size());
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = gradient_of(leaf, layout.blocks[block].begin + i);
    s.write<float>(memory.gradients[block], values);
    for (std::size_t b = 0; reducer.is_exchanged() && b < reducer.num_buckets(); ++b) {
      if (layout.buckets[b].block == block) reducer.on_bucket_ready(b);
    }
  }

  /// Values become twice the sums, which must be right.
  static void update(Stream& s, const ParamLayout& layout, std::size_t bucket,
                     const GradientReducer& reducer, std::size_t num_leaves) {
    const Range owned = reducer.owned(bucket);
    if (owned.empty()) return;
    const std::size_t block = layout.buckets[bucket].block;
    const std::size_t begin = layout.blocks[block].begin;
    std::vector<float> sums(owned.size());
    s.read<float>(sums, reducer.owned_gradients(bucket));
    std::size_t num_wrong = 0;
    for (std::size_t i = 0; i < sums.size(); ++i) {
      if (sums[i] != sum_of(num_leaves, owned.begin + i)) ++num_wrong;
      sums[i] *= 2;
    }
    EXPECT_EQ(num_wrong, 0u) << "of bucket " << bucket;
    Tensor values = reducer.memory().values[block].slice(owned.begin - begin, owned.end - begin);
    if (values.dtype() == Dtype::f32) return s.write<float>(values, sums);
    std::vector<std::uint16_t> halves(sums.size());
    std::transform(sums.begin(), sums.end(), halves.begin(), bf16_from_f32);
    s.write<std::uint16_t>(values, halves);
  }

  static void expect_values(Stream& s, const Tensor& tensor, std::size_t begin,
                            std::size_t num_leaves) {
    const std::vector<float> values = test::read(s, tensor);
    std::size_t num_wrong = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (values[i] != 2 * sum_of(num_leaves, begin + i)) ++num_wrong;
    }
    EXPECT_EQ(num_wrong, 0u) << "values of the block at " << begin;
  }

  static float sum_of(std::size_t num_leaves, std::size_t i) {
    float sum = 0;
    for (std::size_t leaf = 0; leaf < num_leaves; ++leaf) sum += gradient_of(leaf, i);
    return sum;
  }
};

bool can_use(const DeviceInfo& info, HostMemory memory) {
  if (memory == HostMemory::in_place) return info.kind == DeviceKind::cpu;
  return memory != HostMemory::mapped || info.unified_memory;
}

/// With parameters of a dtype.
void check_carrier(const Case& c, Dtype values) {
  if (!can_use(test::device_of(0).info(), c.memory))
    GTEST_SKIP() << test::device_of(0).info().name << " cannot work in the host's memory";
  const ParamLayout layout = layout_of(c.blocks);
  run_ranks(
      c.ranks,
      [&](Communicator& comm) {
        Device& device = test::device_of(comm.rank());
        GradientReducer reducer(device, comm, layout,
                                {.exchange = {.wire = c.wire, .values = values},
                                 .memory = c.memory,
                                 .shard_gradients = c.shard_gradients});
        EXPECT_EQ(reducer.host_memory(), c.memory) << "fell back";
        // Even; sums of several nodes; and all with the last rank, so that the others have none.
        std::vector<std::size_t> counts(static_cast<std::size_t>(c.ranks), 0);
        Carriers::step(reducer, device, comm, layout, even_plan(4, reducer.rank_order()));
        for (std::size_t leaf = 0; leaf < 7; ++leaf) ++counts[(leaf * leaf) % counts.size()];
        Carriers::step(reducer, device, comm, layout, plan_of_counts(counts, reducer.rank_order()));
        std::fill(counts.begin(), counts.end(), std::size_t{0});
        counts.back() = 3;
        Carriers::step(reducer, device, comm, layout, plan_of_counts(counts, reducer.rank_order()));
      },
      c.per_host);
}

TEST_P(Carriers, BringSumsAndValues) {
  check_carrier(GetParam(), Dtype::f32);
}

TEST_P(Carriers, BringValuesOfBf16) {
  check_carrier(GetParam(), Dtype::bf16);
}

/// The whole ring, and some elements.
constexpr std::size_t larger_than_ring =
    Staging::Ring{}.block_bytes * Staging::Ring{}.num_blocks / sizeof(float) / chunk + 3;

const std::vector<std::vector<std::size_t>> small{{1}, {3, 2}, {5, 1, 7}};
/// Of so many blocks that they take turns in memory, some shorter and some longer than those
/// before.
const std::vector<std::vector<std::size_t>> many{{1}, {3, 2}, {5, 1, 7}, {2},
                                                 {1}, {1, 1}, {4, 2},    {7, 1}};
const std::vector<std::vector<std::size_t>> large{{2}, {larger_than_ring, 1}, {3}};

INSTANTIATE_TEST_SUITE_P(
    All, Carriers,
    testing::Values(
        Case{"in_place", HostMemory::in_place, 3, 0, Wire::f32, small},
        Case{"mapped", HostMemory::mapped, 3, 0, Wire::f32, small},
        Case{"mapped_on_two_hosts", HostMemory::mapped, 4, 2, Wire::f32, small},
        Case{"mapped_bf16", HostMemory::mapped, 2, 1, Wire::bf16, small},
        Case{"mapped_large", HostMemory::mapped, 2, 0, Wire::f32, large},
        Case{"copied", HostMemory::copied, 3, 0, Wire::f32, small},
        Case{"copied_on_two_hosts", HostMemory::copied, 4, 2, Wire::f32, small},
        Case{"copied_on_hosts_of_two_and_one", HostMemory::copied, 3, 2, Wire::bf16, small},
        Case{"copied_bf16", HostMemory::copied, 3, 1, Wire::bf16, small},
        Case{"copied_large", HostMemory::copied, 2, 0, Wire::f32, large},
        Case{"copied_large_bf16", HostMemory::copied, 2, 1, Wire::bf16, large},
        Case{"in_place_shards", HostMemory::in_place, 3, 0, Wire::f32, many, true},
        Case{"in_place_shards_on_two_hosts", HostMemory::in_place, 4, 2, Wire::f32, many, true},
        Case{"mapped_shards", HostMemory::mapped, 3, 0, Wire::f32, many, true},
        Case{"mapped_shards_on_two_hosts", HostMemory::mapped, 4, 2, Wire::f32, many, true},
        Case{"mapped_shards_bf16", HostMemory::mapped, 2, 1, Wire::bf16, many, true},
        Case{"copied_shards", HostMemory::copied, 3, 0, Wire::f32, many, true},
        Case{"copied_shards_bf16", HostMemory::copied, 3, 1, Wire::bf16, many, true},
        Case{"copied_shards_on_hosts_of_two_and_one", HostMemory::copied, 3, 2, Wire::bf16, many,
             true},
        Case{"copied_shards_large", HostMemory::copied, 2, 0, Wire::f32, large, true}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(GradientReducer, ChoosesTheMemoryThatSuitsTheDevice) {
  const DeviceInfo& info = test::device_of(0).info();
  HostMemory suits = info.unified_memory ? HostMemory::mapped : HostMemory::copied;
  if (info.kind == DeviceKind::cpu) suits = HostMemory::in_place;
  run_ranks(2, [&](Communicator& comm) {
    const GradientReducer reducer(test::device_of(comm.rank()), comm, layout_of(small), {});
    EXPECT_EQ(reducer.host_memory(), suits) << to_string(reducer.host_memory());
  });
}

/// What is not finite is counted once, with the rank and the bucket it came from.
TEST(GradientReducer, CountsWhatIsNotFiniteOnTheRankThatHasIt) {
  const ParamLayout layout = layout_of(small);
  run_ranks(2, [&](Communicator& comm) {
    Device& device = test::device_of(comm.rank());
    Stream& s = device.stream();
    GradientReducer reducer(device, comm, layout, {});
    // Three leaves a rank: a node of two, which is put aside or added at the end, and one.
    reducer.begin_step(
        deal_leaves(even_plan(6, reducer.rank_order()), reducer.rank_order(), reducer.dealing()));
    for (int leaf = 0; leaf < 3; ++leaf) {
      for (Tensor& gradient : reducer.memory().gradients) s.fill(gradient, 0x3F800000u);
      if (leaf == comm.rank()) {
        Tensor bad = reducer.memory().gradients[1].slice(3 * chunk + 5, 3 * chunk + 8);
        s.fill(bad, 0x7F800000u);
      }
      for (std::size_t b = 0; reducer.is_exchanged() && b < reducer.num_buckets(); ++b)
        reducer.on_bucket_ready(b);
      reducer.end_leaf();
    }
    reducer.finish_reduce();
    const GradientReducer::NonFinite found = reducer.count_non_finite();
    EXPECT_EQ(found.count, 3u);
    EXPECT_EQ(found.first_bucket, 2);
  });
}

}  // namespace
}  // namespace motley
