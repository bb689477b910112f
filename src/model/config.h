// The shape of a decoder-only transformer. A family is a row of choices, not a class: one decoder
// serves all of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "kernels/ops.h"

namespace motley {

enum class Family { gpt2, llama };
enum class NormKind { layer_norm, rms_norm };
enum class PositionKind { learned, rope };
enum class MlpKind { gelu, swiglu };

/// What the members of a family have in common.
struct FamilyTraits {
  Family family;
  std::string_view name;
  NormKind norm;
  PositionKind position;
  MlpKind mlp;
  bool biases;  // of linear layers; a layer_norm has its bias in any case
};

/// The row of a family.
const FamilyTraits& traits_of(Family family);
/// The family of a name such as "llama". Throws ConfigError naming the known ones.
Family family_from(std::string_view name);

/// What backward computes again instead of keeping: nothing, attention's output, or whole blocks
/// (only the residual stream between blocks is kept).
enum class Recompute { none, attention, block };

struct ModelConfig {
  Family family = Family::llama;
  std::size_t vocab = 0;      // V
  std::size_t context = 0;    // the longest T
  std::size_t layers = 0;     // L
  std::size_t width = 0;      // C
  std::size_t heads = 0;      // H
  std::size_t kv_heads = 0;   // G, divides H
  std::size_t head_dim = 0;   // D
  std::size_t mlp_width = 0;  // F
  bool tie = false;           // the head is the embedding table
  float norm_eps = 1e-5f;
  float rope_theta = 10000.0f;
  op::Gelu gelu = op::Gelu::tanh;  // of families with a GELU
  float init_std = 0.02f;

  const FamilyTraits& traits() const { return traits_of(family); }
  /// The columns of a packed qkv row.
  std::size_t qkv_width() const { return (heads + 2 * kv_heads) * head_dim; }
  /// Throws ConfigError for a shape that no model can have, naming the setting and the rule.
  void validate() const;
};

/// The number of trainable values.
std::size_t num_parameters(const ModelConfig& config);

/// Floating-point operations of forward and backward per token: 6 per matrix parameter (the head
/// counts, tied or not; look-ups do not) and 12 * L * T * H * D / 2 for causal attention's two
/// products.
double flops_per_token(const ModelConfig& config, std::size_t T);

}  // namespace motley
