// Optimizers over the shards of buckets that this rank owns. A new one is a kernel (kernels/ops.h)
// and a row in optimizer.cpp.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "dist/shard_plan.h"
#include "kernels/ops.h"
#include "model/params.h"
#include "train/settings.h"

namespace motley {

/// What one update depends on besides the gradients.
struct UpdateStep {
  float learning_rate = 0;
  std::uint64_t step = 1;     // counts from 1
  std::uint64_t skipped = 0;  // of those before it, how many updated nothing
  float loss_scale = 1;       // of its gradients, with activations in f16; a power of two
};

struct OptimizerRow;

/// Updates the owned shard of every bucket. State exists for that shard only (ZeRO-1: Rajbhandari
/// et al. 2020), so one owner decides each parameter's bits.
class Optimizer {
 public:
  /// `owned[b]` is this rank's part of bucket b, in elements of the row of all parameters. Throws
  /// ConfigError for an unknown name.
  /// `seed`: for rounding weights of bf16 at random, where the settings say so.
  Optimizer(Device& device, ParamStore& params, std::vector<Range> owned,
            const OptimSettings& settings, std::uint64_t seed = 0);

  /// What `control` has to say for a step besides the gradients; the tokens are the caller's to
  /// add.
  op::UpdateNumbers numbers(const UpdateStep& step) const;
  /// Applies the gradients of the owned shard of one bucket, [owned size], times control[0], to its
  /// values. Of the step it needs nothing but `control`.
  void update(Stream& s, std::size_t bucket, const Tensor& gradients,
              const op::UpdateControl& control);

  /// Sets what weights of bf16 have beside them, from the f32 values of a block; ParamStore has the
  /// rest.
  void set_block(Stream& s, std::size_t block, std::span<const float> values);
  /// The f32 weights of a bucket's owned shard, [owned size].
  std::vector<float> weights(Stream& s, std::size_t bucket) const;
  /// Whether other ranks see no more of them than bf16.
  bool has_rests() const { return !rests_.empty(); }

  /// The names of the state each element has, such as "m" and "v".
  std::span<const std::string_view> state_names() const;
  /// State `index` of a bucket's owned shard, [owned size].
  Tensor& state(std::size_t bucket, std::size_t index) { return states_[bucket][index]; }
  Range owned(std::size_t bucket) const { return owned_[bucket]; }

 private:
  /// The part of one parameter that lies in an owned shard.
  struct Segment {
    std::size_t bucket = 0;
    Range part;  // of the row of all parameters
    Decay decay = Decay::no;
  };

  ParamStore& params_;
  std::vector<Range> owned_;
  OptimSettings settings_;
  Random random_;
  const OptimizerRow* row_;
  std::vector<std::vector<Tensor>> states_;
  std::vector<Tensor>
      rests_;  // by bucket, u16: what bf16 leaves of f32 weights, as split_f32 has it
  std::vector<Segment> segments_;
};

/// The names that optim.name accepts.
std::vector<std::string_view> optimizer_names();

}  // namespace motley
