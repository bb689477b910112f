#include "model/config.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "model/params.h"
#include "tensor/error.h"

namespace motley {
namespace {

constexpr std::array<FamilyTraits, 2> families{{
    {Family::gpt2, "gpt2", NormKind::layer_norm, PositionKind::learned, MlpKind::gelu, true},
    {Family::llama, "llama", NormKind::rms_norm, PositionKind::rope, MlpKind::swiglu, false},
}};

// Caps that no sane model passes; they keep a damaged file from asking for absurd amounts of
// memory.
constexpr std::size_t max_layers = 10000;
constexpr std::size_t max_extent = std::size_t{1} << 24;

void check_extent(std::string_view name, std::size_t value, std::size_t limit) {
  require<ConfigError>(value >= 1 && value <= limit, "model.range",
                       "model.{} is {}; it must be 1 to {}", name, value, limit);
}

bool is_positive(float value) {
  return value > 0 && std::isfinite(value);
}

}  // namespace

const FamilyTraits& traits_of(Family family) {
  return *std::find_if(families.begin(), families.end(),
                       [&](const FamilyTraits& row) { return row.family == family; });
}

Family family_from(std::string_view name) {
  std::string known;
  for (const FamilyTraits& row : families) {
    if (row.name == name) return row.family;
    known += (known.empty() ? "" : ", ") + std::string(row.name);
  }
  fail<ConfigError>("model.family", "there is no model family '{}'; the families are {}", name,
                    known);
}

void ModelConfig::validate() const {
  check_extent("vocab", vocab, max_extent);
  check_extent("context", context, max_extent);
  check_extent("layers", layers, max_layers);
  check_extent("width", width, max_extent);
  check_extent("heads", heads, max_extent);
  check_extent("kv_heads", kv_heads, heads);
  check_extent("head_dim", head_dim, max_extent);
  check_extent("mlp_width", mlp_width, max_extent);
  check_extent("heads * head_dim", heads * head_dim, max_extent);
  require<ConfigError>(heads % kv_heads == 0, "model.kv-heads",
                       "model.heads is {} and model.kv_heads {}; kv_heads must divide heads", heads,
                       kv_heads);
  require<ConfigError>(
      traits().position != PositionKind::rope || head_dim % 2 == 0, "model.head-dim",
      "model.head_dim is {}; rotary positions need an even one: change width or heads", head_dim);
  require<ConfigError>(
      family != Family::gpt2 || (kv_heads == heads && head_dim * heads == width), "model.gpt2",
      "gpt2 needs kv_heads = heads and heads * head_dim = width; got {}, {}, {}, {}", kv_heads,
      heads, head_dim, width);
  require<ConfigError>(
      is_positive(norm_eps) && is_positive(rope_theta) && is_positive(init_std), "model.range",
      "model.norm_eps, model.rope_theta and model.init_std must be above 0 and finite; got {}, {}, "
      "{}",
      norm_eps, rope_theta, init_std);
}

std::size_t num_parameters(const ModelConfig& config) {
  std::size_t count = 0;
  for (const ParamSpec& spec : parameter_specs(config)) count += spec.shape.size();
  return count;
}

double flops_per_token(const ModelConfig& config, std::size_t T) {
  double matrix =
      static_cast<double>(config.vocab) * static_cast<double>(config.width);  // the head
  for (const ParamSpec& spec : parameter_specs(config)) {
    if (spec.layer >= 0 && spec.shape.rank() == 2) matrix += static_cast<double>(spec.shape.size());
  }
  const double attention = 6.0 * static_cast<double>(config.layers * T) *
                           static_cast<double>(config.heads * config.head_dim);
  return 6.0 * matrix + attention;
}

}  // namespace motley
