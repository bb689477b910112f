// Gradients that are summed after each leaf and kept by their owners alone: the bits of a rank that
// keeps them all, in less memory.
#include <gtest/gtest.h>

#include <cmath>
#include <mutex>
#include <tuple>

#include "dist/self_comm.h"
#include "dist/thread_comm.h"
#include "tests/train/bits.h"
#include "train/gradient_ring.h"
#include "train/inject.h"

namespace motley {
namespace {

using test::Bits;
using test::Split;

/// Its blocks of layers are more than the places they share.
ModelConfig deep(ModelConfig config) {
  config.layers = 13;
  config.width = 192;
  config.heads = 4;
  config.kv_heads = config.family == Family::gpt2 ? 4 : 2;
  config.head_dim = 48;
  config.mlp_width = config.family == Family::gpt2 ? 768 : 560;
  return config;
}

/// Where ranks are and what they share.
struct Way {
  int ranks;
  int per_host;  // 0: all on one
  ReducerOptions reducer = {};
};

Way sharded(int ranks, int per_host, ReducerOptions reducer = {}) {
  reducer.shard_gradients = true;
  return {ranks, per_host, reducer};
}

void expect_bits_of_one_rank(const ModelConfig& config, Split split, std::uint64_t steps,
                             const std::vector<Way>& ways) {
  SelfComm self;
  const Bits alone =
      test::train_for_bits(test::device_of(0), self, config, split, {.steps = steps});
  for (const Way& way : ways) {
    run_ranks(
        way.ranks,
        [&](Communicator& comm) {
          const Bits bits = test::train_for_bits(test::device_of(comm.rank()), comm, config, split,
                                                 {steps, way.reducer});
          test::expect_same_bits(
              bits, alone,
              fmt::format("{} of {}, {} a host", comm.name(), way.ranks, way.per_host));
        },
        way.per_host);
  }
}

/// What the device can do of these.
HostMemory mapped_or_copied() {
  return test::device_of(0).info().unified_memory ? HostMemory::mapped : HostMemory::copied;
}

class ShardedGradients : public testing::TestWithParam<std::tuple<Family, Split>> {};

/// One rank has nothing to share out. Memory shared with the device, copied, and not shared at all.
TEST_P(ShardedGradients, GiveTheBitsOfOneRank) {
  const auto [family, split] = GetParam();
  const ReducerOptions copying{.memory = HostMemory::copied};
  const ReducerOptions mapping{.memory = mapped_or_copied()};
  const ReducerOptions messages{.exchange = {.shared_memory = false}};
  expect_bits_of_one_rank(
      family == Family::gpt2 ? test::tiny_gpt2() : test::tiny_llama(), split, 20,
      {sharded(1, 0), sharded(2, 0), sharded(3, 0), sharded(4, 0), sharded(6, 0), sharded(4, 2),
       sharded(6, 2), sharded(3, 0, copying), sharded(4, 2, copying), sharded(3, 0, mapping),
       sharded(4, 2, mapping), sharded(3, 0, messages)});
}

/// Blocks take turns in memory, so that ranks wait for each other within a leaf.
TEST_P(ShardedGradients, GiveTheBitsOfOneRankWhenBlocksTakeTurns) {
  const auto [family, split] = GetParam();
  const ModelConfig config = deep(family == Family::gpt2 ? test::tiny_gpt2() : test::tiny_llama());
  const ParamLayout layout = param_layout(config);
  ASSERT_LT(ring_of_gradients(layout).regions.size(), layout.blocks.size());
  const ReducerOptions copying{.memory = HostMemory::copied};
  const ReducerOptions mapping{.memory = mapped_or_copied()};
  expect_bits_of_one_rank(config, split, 2,
                          {sharded(2, 0), sharded(4, 2), sharded(3, 0, copying),
                           sharded(4, 2, copying), sharded(3, 0, mapping)});
}

INSTANTIATE_TEST_SUITE_P(All, ShardedGradients,
                         testing::Combine(testing::Values(Family::gpt2, Family::llama),
                                          testing::Values(Split::even, Split::uneven)),
                         test::name_of_case);

/// Other sums, but nearly the same.
TEST(InexactShardedGradients, StayNear) {
  const auto losses = [](Communicator& comm, const ReducerOptions& reducer) {
    TrainStep train(test::device_of(comm.rank()), comm, test::tiny_llama(), {}, {.lr = 1e-2},
                    reducer);
    train.initialize(7);
    std::vector<double> all;
    for (std::uint64_t step = 1; step <= 5; ++step) {
      const auto leaf = [&](std::size_t index) {
        return test::hashed_leaf(67, static_cast<std::uint32_t>(step * 7 + index));
      };
      const LeafPlan plan = test::plan_of(Split::uneven, step, train.rank_order());
      all.push_back(train.run(plan, leaf, {.learning_rate = 1e-2f, .step = step}).loss);
    }
    return all;
  };
  SelfComm self;
  const std::vector<double> alone = losses(self, {});
  run_ranks(3, [&](Communicator& comm) {
    const std::vector<double> together = losses(comm, {.exact = false, .shard_gradients = true});
    for (std::size_t i = 0; i < alone.size(); ++i)
      EXPECT_NEAR(together[i], alone[i], 1e-4 * alone[i]);
  });
}

TEST(ShardedGradientsOfARank, AreNamedWhenTheyAreNotFinite) {
  run_ranks(3, [](Communicator& comm) {
    TrainStep train(test::device_of(comm.rank()), comm, test::tiny_llama(), {}, {},
                    {.shard_gradients = true});
    train.initialize(7);
    Injector injector({{.rank = 1, .step = 2, .kind = FaultKind::nan}}, comm.rank());
    injector.attach(train);
    for (std::uint64_t step = 1; step <= 3; ++step) {
      injector.before_step(comm, step);
      const StepResult result =
          train.run(even_plan(7, train.rank_order()),
                    [&](std::size_t leaf) {
                      return test::hashed_leaf(67, static_cast<std::uint32_t>(step * 7 + leaf));
                    },
                    {.learning_rate = 1e-2f, .step = step});
      EXPECT_EQ(result.non_finite > 0, step == 2) << step;
      EXPECT_EQ(result.first_bad_rank, step == 2 ? 1 : -1) << step;
      EXPECT_EQ(result.first_bad_bucket, step == 2 ? 0 : -1) << step;
    }
  });
}

/// Bytes that each rank's pool has in use after a step, its activations not counted. The memory
/// that a device shares with others is in the pool as well.
std::vector<std::size_t> bytes_after_a_step(int num_ranks, const ReducerOptions& reducer) {
  std::vector<std::size_t> bytes(static_cast<std::size_t>(num_ranks));
  const ModelConfig config = deep(test::tiny_gpt2());
  run_ranks(num_ranks, [&](Communicator& comm) {
    Device& device = test::device_of(comm.rank());
    device.pool().trim();  // blocks that are free may be larger than what is asked for
    const std::size_t before = device.pool().statistics().in_use;
    TrainStep train(device, comm, config, {}, {}, reducer);
    train.initialize(7);
    train.run(even_plan(8, train.rank_order()),
              [&](std::size_t leaf) {
                return test::hashed_leaf(config.vocab, static_cast<std::uint32_t>(leaf));
              },
              {.learning_rate = 1e-3f, .step = 1});
    train.params();
    bytes[static_cast<std::size_t>(comm.rank())] = device.pool().statistics().in_use - before;
    comm.barrier();
  });
  return bytes;
}

/// Two leaves a rank: without shards a rank keeps the first one's gradients beside the second's.
TEST(ShardedGradientsOfARank, TakeLessMemory) {
  constexpr int num_ranks = 4;
  const ParamLayout layout = param_layout(deep(test::tiny_gpt2()));
  const std::size_t row = layout.size * sizeof(float);
  const std::size_t ring = ring_of_gradients(layout).size() * sizeof(float);
  const std::size_t block = owner_block * sizeof(float);
  for (const HostMemory memory : {HostMemory::copied, HostMemory::automatic}) {
    const auto whole = bytes_after_a_step(num_ranks, {.memory = memory});
    const auto shards = bytes_after_a_step(num_ranks, {.memory = memory, .shard_gradients = true});
    // Memory that a CPU device shares is in its pool once for each rank of the host.
    const bool is_shared =
        memory == HostMemory::automatic && test::device_of(0).info().kind == DeviceKind::cpu;
    const std::size_t copies = is_shared ? num_ranks : 1;
    const std::size_t owned = row / num_ranks + layout.buckets.size() * block;
    for (std::size_t rank = 0; rank < num_ranks; ++rank)
      EXPECT_LE(shards[rank] + copies * (row - ring) + row - owned, whole[rank])
          << rank << " " << to_string(memory);
  }
}

}  // namespace
}  // namespace motley
