#include "model/params.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/ops.h"
#include "tensor/checked.h"
#include "tensor/error.h"
#include "tensor/half.h"

namespace motley {
namespace {

// Parameters start at multiples of this many elements: a cache line of floats, a GPU's load
// segment.
constexpr std::size_t alignment = 64;
// Blocks and buckets start at multiples of this.
constexpr std::size_t granule = op::squares_chunk;

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

namespace {

/// Cuts a block into buckets of about `limit` bytes.
void add_buckets(ParamLayout& layout, std::size_t limit, std::size_t first_stage,
                 std::size_t last_stage) {
  const ParamLayout::Block& block = layout.blocks.back();
  const std::size_t size = block.end - block.begin;
  const std::size_t num = std::max<std::size_t>(1, (size * sizeof(float) + limit / 2) / limit);
  const std::size_t step = round_up(ceil_div(size, num), granule);
  for (std::size_t begin = block.begin; begin < block.end; begin += step) {
    layout.buckets.push_back({layout.blocks.size() - 1, begin, std::min(begin + step, block.end),
                              first_stage, last_stage});
  }
}

ParamMemory allocate(Device& device, const ParamLayout& layout, Dtype dtype) {
  ParamMemory memory;
  for (const ParamLayout::Block& block : layout.blocks) {
    memory.values.push_back(device.tensor({block.end - block.begin}, dtype));
    memory.gradients.push_back(device.tensor({block.end - block.begin}));
  }
  return memory;
}

}  // namespace

ParamLayout param_layout(const ModelConfig& config) {
  ParamLayout layout;
  layout.specs = parameter_specs(config);
  std::size_t total_bytes = 0;
  for (const ParamSpec& spec : layout.specs) total_bytes += spec.shape.size() * sizeof(float);
  std::size_t first_stage = 0;
  std::size_t stage = 0;
  layout.blocks.push_back({});
  const auto close = [&] {
    layout.blocks.back().end = round_up(layout.size, granule);
    layout.size = layout.blocks.back().end;
    const std::size_t limit =
        std::max(bucket_limit(layout.blocks.size() - 1, total_bytes), min_bucket_bytes);
    add_buckets(layout, limit, first_stage, stage);
  };
  for (const ParamSpec& spec : layout.specs) {
    const std::size_t limit = bucket_limit(layout.blocks.size() - 1, total_bytes);
    const std::size_t bytes = (layout.size - layout.blocks.back().begin) * sizeof(float);
    if (spec.stage != stage && bytes >= limit) {
      close();
      layout.blocks.push_back({layout.size, layout.size});
      first_stage = spec.stage;
    }
    stage = spec.stage;
    layout.offsets.push_back(layout.size);
    layout.size = round_up(checked_add(layout.size, spec.shape.size()), alignment);
  }
  close();
  return layout;
}

ParamStore::ParamStore(Device& device, const ModelConfig& config, Dtype dtype)
    : ParamStore(device, config, allocate(device, param_layout(config), dtype)) {}

ParamStore::ParamStore(Device& device, const ModelConfig& config, ParamMemory memory)
    : memory_(std::move(memory)) {
  layout_ = param_layout(config);
  ParamLayout& layout = layout_;
  const auto view = [&](const std::vector<Tensor>& blocks, std::size_t block, std::size_t begin,
                        std::size_t end) {
    const std::size_t at = layout.blocks[block].begin;
    return blocks.at(block).slice(begin - at, end - at);
  };
  std::size_t block = 0;
  for (std::size_t i = 0; i < layout.specs.size(); ++i) {
    const std::size_t begin = layout.offsets[i];
    const std::size_t end = begin + layout.specs[i].shape.size();
    while (begin >= layout.blocks[block].end) ++block;
    const Shape shape = layout.specs[i].shape;
    const Tensor value = view(memory_.values, block, begin, end).reshape(shape);
    params_.push_back({layout.specs[i], begin, block, value,
                       view(memory_.gradients, block, begin, end).reshape(shape), value});
  }
  if (dtype() != Dtype::f32) add_vectors(device);
  for (const ParamLayout::Bucket& b : layout.buckets) {
    buckets_.push_back({view(memory_.values, b.block, b.begin, b.end),
                        view(memory_.gradients, b.block, b.begin, b.end), b.begin, b.end,
                        b.first_stage, b.last_stage});
  }
  for (Tensor& values : memory_.values) device.stream().fill(values);
  zero_gradients(device.stream());
}

/// Gives vectors operands of their own.
void ParamStore::add_vectors(Device& device) {
  const auto is_vector = [](const Param& param) { return param.spec.shape.rank() == 1; };
  std::size_t size = 0;
  for (const Param& param : params_) {
    if (is_vector(param)) size += round_up(param.spec.shape.size(), alignment);
  }
  vectors_ = device.zeros({size});
  std::size_t begin = 0;
  for (Param& param : params_) {
    if (!is_vector(param)) continue;
    param.operand = vectors_.slice(begin, begin + param.spec.shape.size());
    begin += round_up(param.spec.shape.size(), alignment);
  }
}

void ParamStore::widen(Stream& s, std::size_t stage) const {
  if (vectors_.empty()) return;
  for (const Param& param : params_) {
    if (param.spec.stage != stage || param.spec.shape.rank() != 1) continue;
    Tensor operand = param.operand;
    op::cast(s, operand, param.value);
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
  for (std::size_t block = 0; block < layout_.blocks.size(); ++block) {
    Tensor values = memory_.values[block];
    if (dtype() == Dtype::f32) {
      initialize_block(s, block, seed, values);
      continue;
    }
    Tensor wide = s.tensor(values.shape());
    initialize_block(s, block, seed, wide);
    set_block(s, block, s.map<float>(wide, Access::read).span());
  }
}

void ParamStore::initialize_block(Stream& s, std::size_t block, std::uint64_t seed,
                                  Tensor& values) const {
  constexpr std::uint32_t one = 0x3F800000u;  // 1.0f
  s.fill(values);
  for (std::size_t i = 0; i < params_.size(); ++i) {
    const Param& param = params_[i];
    if (param.block != block || param.spec.init == Init::zeros) continue;
    const std::size_t begin = param.offset - layout_.blocks[block].begin;
    Tensor value = values.slice(begin, begin + param.spec.shape.size());
    if (param.spec.init == Init::ones) {
      s.fill(value, one);
    } else {
      op::random_normal(s, value, Random(seed, Purpose::init, i), param.spec.stddev);
    }
  }
}

void ParamStore::set_block(Stream& s, std::size_t block, std::span<const float> values) {
  Tensor& to = memory_.values.at(block);
  if (dtype() == Dtype::f32) return s.write(to, values);
  std::vector<std::uint16_t> uppers(values.size());
  std::transform(values.begin(), values.end(), uppers.begin(),
                 [](float value) { return split_f32(value).upper; });
  s.write<std::uint16_t>(to, uppers);
}

void ParamStore::zero_gradients(Stream& s) {
  for (Tensor& gradients : memory_.gradients) s.fill(gradients);
}

std::size_t ParamStore::size() const {
  std::size_t count = 0;
  for (const Param& param : params_) count += param.spec.shape.size();
  return count;
}

}  // namespace motley
