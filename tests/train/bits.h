// What training comes to, bit for bit, under plans that divide a step's leaves in many ways: for
// the promise that none of them changes a bit.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <vector>

#include "dist/leaf_plan.h"
#include "tensor/hash.h"
#include "tests/train/tiny_training.h"
#include "train/loss_scale.h"

namespace motley::test {

/// How a step's leaves are divided between ranks.
enum class Split {
  even,
  /// Another way in every step, some ranks having none; with a number of leaves that is no power of
  /// two, so that the tree of leaves is cut off.
  uneven
};

inline std::size_t leaves_of(Split split) {
  return split == Split::even ? 8 : 7;
}

/// "gpt2_even", for tests of both families with both splits.
inline std::string name_of_case(const testing::TestParamInfo<std::tuple<Family, Split>>& test) {
  return std::string(traits_of(std::get<0>(test.param)).name) +
         (std::get<1>(test.param) == Split::even ? "_even" : "_uneven");
}

inline LeafPlan plan_of(Split split, std::uint64_t step, std::span<const int> order) {
  if (split == Split::even) return even_plan(leaves_of(split), order);
  std::vector<std::size_t> counts(order.size(), 0);
  for (std::uint32_t leaf = 0; leaf < leaves_of(split); ++leaf)
    ++counts[hashed(static_cast<std::uint32_t>(step) + 99, leaf) % counts.size()];
  return plan_of_counts(counts, order);
}

/// Numbers are compared as text with all their digits, so that a failure shows them.
struct Bits {
  std::string parameters;            // XXH3-128 of all of them
  std::vector<std::string> numbers;  // loss, gradient norm and clip factor of each step
};

/// How long to train, and how gradients are reduced.
struct Training {
  std::uint64_t steps = 20;
  ReducerOptions reducer = {};
  Dtype dtype = Dtype::f32;  // of activations; with f16 the first steps overflow
  bool stochastic_rounding = false;
};

/// Steps on the ranks of `comm`, clipped, with AdamW.
inline Bits train_for_bits(Device& device, Communicator& comm, const ModelConfig& config,
                           Split split, const Training& training = {}) {
  TrainStep train(device, comm, config, {.dtype = training.dtype},
                  {.lr = 1e-2, .clip = 0.5, .stochastic_rounding = training.stochastic_rounding},
                  training.reducer);
  train.initialize(7);
  LossScale scale{.scale = 65536};
  Bits bits;
  for (std::uint64_t step = 1; step <= training.steps; ++step) {
    const LeafPlan plan = plan_of(split, step, train.rank_order());
    const auto make_leaf = [&](std::size_t leaf) {
      return hashed_leaf(config.vocab, static_cast<std::uint32_t>(step * leaves_of(split) + leaf));
    };
    UpdateStep update{.learning_rate = 1e-2f, .step = step};
    if (training.dtype == Dtype::f16) {
      update.skipped = scale.skipped;
      update.loss_scale = scale.scale;
    }
    const StepResult result = train.run(plan, make_leaf, update);
    scale.after_step(result.non_finite == 0);
    bits.numbers.push_back(fmt::format("step {}: loss {} norm {} factor {}", step, result.loss,
                                       result.gradient_norm, result.factor));
  }
  EXPECT_LT(scale.skipped + 1, training.steps) << "nothing was trained";
  Hasher hasher;
  for (const ParamBucket& bucket : train.params().buckets()) {
    const std::vector<float> values = read(device.stream(), bucket.values);
    hasher.update(std::as_bytes(std::span(values)));
  }
  bits.parameters = hasher.hex();
  return bits;
}

/// Expects a rank's bits to be those of one rank alone.
inline void expect_same_bits(const Bits& bits, const Bits& alone, const std::string& who) {
  EXPECT_EQ(bits.parameters, alone.parameters) << who;
  EXPECT_EQ(bits.numbers, alone.numbers) << who;
}

}  // namespace motley::test
