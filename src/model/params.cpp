#include "model/params.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/ops.h"
#include "tensor/checked.h"
#include "tensor/error.h"

namespace motley {
namespace {

// Parameters start at multiples of this many elements: a cache line of floats, a GPU's load
// segment.
constexpr std::size_t alignment = 64;

// ParamBucket sizes in bytes: about a twelfth of all gradients, within these bounds. The first one
// is small so that its exchange can start early.
constexpr std::size_t first_bucket_bytes = std::size_t{1} << 20;
constexpr std::size_t min_bucket_bytes = std::size_t{4} << 20;
constexpr std::size_t max_bucket_bytes = std::size_t{32} << 20;
constexpr std::size_t buckets_aimed_at = 12;

/// Collects specs of one stage at a time.
class SpecList {
 public:
  explicit SpecList(const ModelConfig& config) : config_(config) {}

  void start_stage(int layer) {
    layer_ = layer;
    if (!specs_.empty()) ++stage_;
  }
  void matrix(std::string name, std::size_t out, std::size_t in, float stddev) {
    specs_.push_back(
        {std::move(name), {out, in}, Init::normal, stddev, Decay::yes, layer_, stage_});
  }
  void vector(std::string name, std::size_t size, Init init) {
    specs_.push_back({std::move(name), {size}, init, 0.0f, Decay::no, layer_, stage_});
  }
  void linear(const std::string& name, std::size_t out, std::size_t in, float stddev) {
    matrix(name + ".weight", out, in, stddev);
    if (config_.traits().biases) vector(name + ".bias", out, Init::zeros);
  }
  void norm(const std::string& name) {
    vector(name + ".weight", config_.width, Init::ones);
    if (config_.traits().norm == NormKind::layer_norm)
      vector(name + ".bias", config_.width, Init::zeros);
  }
  std::vector<ParamSpec> take() { return std::move(specs_); }

 private:
  const ModelConfig& config_;
  std::vector<ParamSpec> specs_;
  std::size_t stage_ = 0;
  int layer_ = -1;
};

void add_block(SpecList& list, const ModelConfig& c, std::size_t layer) {
  const std::string prefix = "layers." + std::to_string(layer) + ".";
  // Layers that write to the residual stream start smaller, so that its variance does not grow with
  // depth (Radford et al. 2019).
  const float residual_std = c.init_std / std::sqrt(2.0f * static_cast<float>(c.layers));
  const bool gated = c.traits().mlp == MlpKind::swiglu;
  list.start_stage(static_cast<int>(layer));
  list.linear(prefix + "mlp.down", c.width, c.mlp_width, residual_std);
  list.linear(prefix + (gated ? "mlp.gate_up" : "mlp.up"), gated ? 2 * c.mlp_width : c.mlp_width,
              c.width, c.init_std);
  list.norm(prefix + "norm2");
  list.linear(prefix + "attn.out", c.width, c.heads * c.head_dim, residual_std);
  list.linear(prefix + "attn.qkv", c.qkv_width(), c.width, c.init_std);
  list.norm(prefix + "norm1");
}

std::size_t bucket_limit(std::size_t bucket, std::size_t total_bytes) {
  if (bucket == 0) return first_bucket_bytes;
  return std::clamp(total_bytes / buckets_aimed_at, min_bucket_bytes, max_bucket_bytes);
}

}  // namespace

std::vector<ParamSpec> parameter_specs(const ModelConfig& c) {
  SpecList list(c);
  list.start_stage(-1);
  list.norm("final_norm");
  if (!c.tie) list.matrix("head.weight", c.vocab, c.width, c.init_std);
  for (std::size_t layer = c.layers; layer-- > 0;) add_block(list, c, layer);
  list.start_stage(-1);
  if (c.traits().position == PositionKind::learned) {
    list.matrix("position.weight", c.context, c.width, c.init_std);
  }
  list.matrix("embed.weight", c.vocab, c.width, c.init_std);
  return list.take();
}

ParamStore::ParamStore(Device& device, const ModelConfig& config) {
  std::size_t total_bytes = 0;
  for (ParamSpec& spec : parameter_specs(config)) {
    total_bytes += spec.shape.size() * sizeof(float);
    params_.push_back({std::move(spec), 0, 0, {}, {}});
  }
  // A bucket is closed when it is full and a stage ends.
  std::vector<std::size_t> sizes{0};
  std::vector<std::size_t> last_stages{0};
  std::size_t stage = 0;
  for (Param& param : params_) {
    const std::size_t limit = bucket_limit(sizes.size() - 1, total_bytes);
    if (param.spec.stage != stage && sizes.back() * sizeof(float) >= limit) {
      sizes.push_back(0);
      last_stages.push_back(0);
    }
    stage = param.spec.stage;
    param.bucket = sizes.size() - 1;
    param.offset = sizes.back();
    sizes.back() = round_up(checked_add(sizes.back(), param.spec.shape.size()), alignment);
    last_stages.back() = stage;
  }
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    buckets_.push_back({device.zeros({sizes[i]}), device.zeros({sizes[i]}), last_stages[i]});
  }
  for (Param& param : params_) {
    const std::size_t end = param.offset + param.spec.shape.size();
    const ParamBucket& bucket = buckets_[param.bucket];
    param.value = bucket.values.slice(param.offset, end).reshape(param.spec.shape);
    param.gradient = bucket.gradients.slice(param.offset, end).reshape(param.spec.shape);
  }
}

Param& ParamStore::at(std::string_view name) {
  const auto found = std::find_if(params_.begin(), params_.end(),
                                  [&](const Param& param) { return param.spec.name == name; });
  require<ConfigError>(found != params_.end(), "model.parameter",
                       "this model has no parameter '{}'", name);
  return *found;
}

void ParamStore::initialize(Stream& s, std::uint64_t seed) {
  constexpr std::uint32_t one = 0x3F800000u;  // 1.0f
  for (std::size_t i = 0; i < params_.size(); ++i) {
    Param& param = params_[i];
    switch (param.spec.init) {
      case Init::zeros:
        s.fill(param.value);
        break;
      case Init::ones:
        s.fill(param.value, one);
        break;
      case Init::normal:
        op::random_normal(s, param.value, Random(seed, Purpose::init, i), param.spec.stddev);
        break;
    }
  }
}

void ParamStore::zero_gradients(Stream& s) {
  for (ParamBucket& bucket : buckets_) s.fill(bucket.gradients);
}

std::size_t ParamStore::size() const {
  std::size_t count = 0;
  for (const Param& param : params_) count += param.spec.shape.size();
  return count;
}

}  // namespace motley
