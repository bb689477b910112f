// Training a tiny model in tests: four leaves a step, split evenly over the ranks, from tokens that
// are computed.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "dist/leaf_plan.h"
#include "kernels/token_index.h"
#include "tests/model/tiny_models.h"
#include "train/train_step.h"

namespace motley::test {

/// Whether each step sees new tokens or all the same.
enum class Data { hashed, repeated };

struct TinyRun {
  static constexpr std::size_t leaves_per_step = 4;
  static constexpr std::size_t leaf_sequences = 1;
  static constexpr std::size_t sequence = 16;

  Device device;
  TrainStep train;

  TinyRun(Communicator& comm, const ModelConfig& config, const OptimSettings& settings,
          const ReducerOptions& reducer = {})
      : TinyRun(comm, config, settings, reducer, {list_devices().at(0), KernelFamily::cpu}) {}

  /// The device a rank computes on.
  struct Place {
    DeviceInfo device;
    KernelFamily family;
  };

  TinyRun(Communicator& comm, const ModelConfig& config, const OptimSettings& settings,
          const ReducerOptions& reducer, const Place& place)
      : device(place.device, {.family = place.family, .fresh_memory = FreshMemory::poison}),
        train(device, comm, config, {}, settings, reducer),
        rate(static_cast<float>(settings.lr)) {
    train.initialize(7);
  }

  StepResult step(std::uint64_t index, Data data) {
    return step(even_plan(leaves_per_step, train.rank_order()), index, data);
  }

  StepResult step(const LeafPlan& plan, std::uint64_t index, Data data) {
    return train.run(
        plan,
        [&](std::size_t leaf) {
          return make_leaf((data == Data::repeated ? 0 : index) * leaves_per_step + leaf);
        },
        {.learning_rate = rate, .step = index + 1});
  }

  /// All parameters, bucket by bucket.
  std::vector<std::vector<float>> values() {
    std::vector<std::vector<float>> all;
    for (const ParamBucket& bucket : train.params().buckets())
      all.push_back(read(device.stream(), bucket.values));
    return all;
  }

 private:
  Batch make_leaf(std::uint64_t number) {
    const auto vocab = static_cast<std::uint32_t>(train.decoder().config().vocab);
    Batch batch;
    batch.num_sequences = leaf_sequences;
    batch.sequence_length = sequence;
    for (std::uint32_t t = 0; t < sequence; ++t) {
      const auto stream = 5000 + static_cast<std::uint32_t>(number);
      batch.tokens.push_back(static_cast<std::int32_t>(hashed(stream, t) % vocab));
      batch.targets.push_back(static_cast<std::int32_t>(hashed(stream, t + 1) % vocab));
    }
    batch.index = index_tokens(batch.tokens);
    batch.num_targets = sequence;
    return batch;
  }

  float rate;
};

/// Every rank holds the bits of rank 0.
inline void expect_equal_replicas(Communicator& comm, TinyRun& run) {
  for (const std::vector<float>& mine : run.values()) {
    std::vector<float> first = mine;
    comm.broadcast(std::as_writable_bytes(std::span(first)), 0);
    EXPECT_EQ(mine, first);
  }
}

}  // namespace motley::test
