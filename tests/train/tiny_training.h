// Training tiny models in tests: a device for each rank of a ThreadComm, leaves of hashed tokens,
// some steps.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "dist/leaf_plan.h"
#include "tests/model/tiny_models.h"
#include "train/train_step.h"

namespace motley::test {

/// The device of a rank: the machine's first, opened once a rank, so that programs are built once.
inline Device& device_of(int rank) {
  // Asked for first: the driver's own globals are made here and outlive the devices.
  static const DeviceInfo info = list_devices().at(0);
  static std::mutex mutex;
  static std::vector<std::unique_ptr<Device>> devices;
  const std::lock_guard lock(mutex);
  while (devices.size() <= static_cast<std::size_t>(rank)) {
    devices.push_back(std::make_unique<Device>(
        info, DeviceSettings{.family = KernelFamily::cpu, .fresh_memory = FreshMemory::poison}));
  }
  return *devices[static_cast<std::size_t>(rank)];
}

/// A micro-batch of 2 sequences of 9 hashed tokens.
inline Batch hashed_leaf(std::size_t vocab, std::uint32_t stream) {
  constexpr std::size_t B = 2;
  constexpr std::size_t T = 9;
  Batch batch{.num_sequences = B,
              .sequence_length = T,
              .tokens = {},
              .targets = {},
              .index = {},
              .num_targets = B * T};
  for (std::uint32_t i = 0; i < B * T; ++i) {
    const auto size = static_cast<std::uint32_t>(vocab);
    batch.tokens.push_back(static_cast<std::int32_t>(hashed(stream, i) % size));
    batch.targets.push_back(static_cast<std::int32_t>(hashed(stream, i + 1) % size));
  }
  batch.index = index_tokens(batch.tokens);
  return batch;
}

/// Steps first + 1 to last of three leaves each, split over the ranks.
inline void train_steps(TrainStep& train, std::uint64_t first, std::uint64_t last) {
  constexpr std::size_t leaves = 3;
  const LeafPlan plan = even_plan(leaves, train.rank_order());
  for (std::uint64_t step = first + 1; step <= last; ++step) {
    train.run(plan,
              [&](std::size_t leaf) {
                const auto stream = static_cast<std::uint32_t>(step * leaves + leaf);
                return hashed_leaf(train.decoder().config().vocab, stream);
              },
              {.learning_rate = 1e-2f, .step = step});
  }
}

}  // namespace motley::test
