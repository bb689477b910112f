// Dynamic loss scaling, for activations and their gradients in f16.
#pragma once

#include <cstdint>

namespace motley {

/// By what the gradient of the loss is multiplied, so that gradients of activations do not fall
/// below what f16 can hold (Micikevicius et al. 2018). It follows what steps come to, as PyTorch's
/// GradScaler does: one with gradients that are not finite has changed nothing, and halves it;
/// after `growth_interval` others in a row it doubles. Always a power of two, so that it changes
/// exponents alone and what is left of it in an update is nothing. Part of a run's state: plain
/// data, equal on all ranks.
struct LossScale {
  static constexpr std::uint64_t growth_interval = 2000;
  /// It does not grow beyond: the gradient of a token's loss by a logit is up to 1, and 2^16 is
  /// infinite in f16.
  static constexpr float largest = 32768;

  float scale = largest;
  std::uint64_t good_steps = 0;  // since it changed
  std::uint64_t skipped = 0;     // steps so far that updated nothing

  /// Whether `value` can be one to start with: a power of two.
  static bool is_scale(std::uint64_t value) { return value != 0 && (value & (value - 1)) == 0; }

  void after_step(bool is_finite);

  friend bool operator==(const LossScale&, const LossScale&) = default;
};

}  // namespace motley
