#include "train/optimizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "tensor/error.h"
#include "tensor/half.h"

namespace motley {

/// A shard of one parameter with everything an update touches.
struct ShardUpdate {
  Tensor value;
  Tensor rest;  // empty where there is none
  std::optional<op::StochasticRounding> rounding;
  Tensor gradient;
  std::span<Tensor> states;
  bool decays = false;

  op::Weights weights() {
    if (rounding) return {value, *rounding};
    return rest.empty() ? op::Weights(value) : op::Weights(value, rest);
  }
};

/// All that is particular to one optimizer.
struct OptimizerRow {
  std::string_view name;
  std::span<const std::string_view> states;
  op::UpdateNumbers (*numbers)(const OptimSettings& settings, const UpdateStep& step);
  void (*update)(Stream& s, ShardUpdate& shard, const op::UpdateControl& control,
                 const OptimSettings& settings);
};

namespace {

constexpr std::array<std::string_view, 2> two_moments{"m", "v"};
constexpr std::array<std::string_view, 1> one_moment{"m"};

op::AdamW adamw_of(const OptimSettings& settings, const UpdateStep& step = {}) {
  return {.learning_rate = step.learning_rate,
          .beta1 = static_cast<float>(settings.beta1),
          .beta2 = static_cast<float>(settings.beta2),
          .epsilon = static_cast<float>(settings.epsilon),
          .weight_decay = static_cast<float>(settings.weight_decay),
          .step = step.step - step.skipped};
}

op::Lion lion_of(const OptimSettings& settings, const UpdateStep& step = {}) {
  return {.learning_rate = step.learning_rate,
          .beta1 = static_cast<float>(settings.beta1),
          .beta2 = static_cast<float>(settings.beta2),
          .weight_decay = static_cast<float>(settings.weight_decay)};
}

op::Sgd sgd_of(const OptimSettings& settings, const UpdateStep& step = {}) {
  return {.learning_rate = step.learning_rate,
          .momentum = static_cast<float>(settings.momentum),
          .weight_decay = static_cast<float>(settings.weight_decay)};
}

/// From the settings to an op's own.
template <auto settings_of>
op::UpdateNumbers numbers_by(const OptimSettings& settings, const UpdateStep& step) {
  return op::numbers_of(settings_of(settings, step));
}

void update_adamw(Stream& s, ShardUpdate& shard, const op::UpdateControl& control,
                  const OptimSettings& settings) {
  op::adamw(s, shard.weights(), shard.states[0], shard.states[1], shard.gradient, control,
            adamw_of(settings), shard.decays);
}

void update_lion(Stream& s, ShardUpdate& shard, const op::UpdateControl& control,
                 const OptimSettings& settings) {
  op::lion(s, shard.weights(), shard.states[0], shard.gradient, control, lion_of(settings),
           shard.decays);
}

void update_sgd(Stream& s, ShardUpdate& shard, const op::UpdateControl& control,
                const OptimSettings& settings) {
  op::sgd(s, shard.weights(), shard.states[0], shard.gradient, control, sgd_of(settings),
          shard.decays);
}

constexpr std::array<OptimizerRow, 3> rows{{
    {"adamw", two_moments, numbers_by<adamw_of>, update_adamw},
    {"lion", one_moment, numbers_by<lion_of>, update_lion},
    {"sgd", one_moment, numbers_by<sgd_of>, update_sgd},
}};

const OptimizerRow& row_of(std::string_view name) {
  const auto* row =
      std::find_if(rows.begin(), rows.end(), [&](const OptimizerRow& r) { return r.name == name; });
  require<ConfigError>(row != rows.end(), "optim.name", "there is no optimizer '{}'; there are {}",
                       name, fmt::join(optimizer_names(), ", "));
  return *row;
}

}  // namespace

Optimizer::Optimizer(Device& device, ParamStore& params, std::vector<Range> owned,
                     const OptimSettings& settings, std::uint64_t seed)
    : params_(params),
      owned_(std::move(owned)),
      settings_(settings),
      random_(seed, Purpose::rounding),
      row_(&row_of(settings.name)) {
  require<ShapeError>(owned_.size() == params.buckets().size(), "optimizer.shards",
                      "{} shards were given for {} buckets", owned_.size(),
                      params.buckets().size());
  for (const Range& range : owned_) {
    states_.emplace_back();
    for (std::size_t i = 0; i < row_->states.size(); ++i) {
      states_.back().push_back(device.zeros({range.end - range.begin}));
    }
    if (params.dtype() != Dtype::f32 && !settings.stochastic_rounding)
      rests_.push_back(device.zeros({range.end - range.begin}, Dtype::u16));
  }
  for (const Param& param : params.params()) {
    const Range whole{param.offset, param.offset + param.spec.shape.size()};
    for (std::size_t bucket = 0; bucket < owned_.size(); ++bucket) {
      const Range part = intersect(owned_[bucket], whole);
      if (!part.empty()) segments_.push_back({bucket, part, param.spec.decay});
    }
  }
}

op::UpdateNumbers Optimizer::numbers(const UpdateStep& step) const {
  op::UpdateNumbers numbers = row_->numbers(settings_, step);
  numbers.step = static_cast<std::uint32_t>(step.step);
  return numbers;
}

void Optimizer::update(Stream& s, std::size_t bucket, const Tensor& gradients,
                       const op::UpdateControl& control) {
  const ParamBucket& memory = params_.buckets()[bucket];
  for (const Segment& segment : segments_) {
    if (segment.bucket != bucket) continue;
    const auto [begin, end] = segment.part;
    const std::size_t first = owned_[bucket].begin;
    std::vector<Tensor> states;
    for (const Tensor& state : states_[bucket])
      states.push_back(state.slice(begin - first, end - first));
    ShardUpdate shard{
        .value = memory.values.slice(begin - memory.begin, end - memory.begin),
        .rest = has_rests() ? rests_[bucket].slice(begin - first, end - first) : Tensor(),
        .rounding = {},
        .gradient = gradients.slice(begin - first, end - first),
        .states = states,
        .decays = segment.decay == Decay::yes};
    if (params_.dtype() != Dtype::f32 && !has_rests()) shard.rounding = {random_, begin};
    row_->update(s, shard, control, settings_);
  }
}

void Optimizer::set_block(Stream& s, std::size_t block, std::span<const float> values) {
  if (!has_rests()) return;
  const ParamLayout& layout = params_.layout();
  const std::size_t first = layout.blocks.at(block).begin;
  for (std::size_t bucket = 0; bucket < owned_.size(); ++bucket) {
    const Range& owned = owned_[bucket];
    if (layout.buckets[bucket].block != block || owned.empty()) continue;
    std::vector<std::uint16_t> rests;
    for (const float value : values.subspan(owned.begin - first, owned.size()))
      rests.push_back(split_f32(value).rest);
    s.write<std::uint16_t>(rests_[bucket], rests);
  }
}

std::vector<float> Optimizer::weights(Stream& s, std::size_t bucket) const {
  const Range& owned = owned_.at(bucket);
  const ParamBucket& memory = params_.buckets()[bucket];
  const Tensor values = memory.values.slice(owned.begin - memory.begin, owned.end - memory.begin);
  std::vector<float> weights(owned.size());
  if (owned.empty()) return weights;
  if (values.dtype() == Dtype::f32) {
    s.read<float>(weights, values);
    return weights;
  }
  std::vector<std::uint16_t> uppers(owned.size());
  std::vector<std::uint16_t> rests(owned.size(), 0);
  s.read<std::uint16_t>(uppers, values);
  if (has_rests()) s.read<std::uint16_t>(rests, rests_[bucket]);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = join_f32({uppers[i], rests[i]});
  return weights;
}

std::span<const std::string_view> Optimizer::state_names() const {
  return row_->states;
}

std::vector<std::string_view> optimizer_names() {
  std::vector<std::string_view> names;
  names.reserve(std::size(rows));
  for (const OptimizerRow& row : rows) names.push_back(row.name);
  return names;
}

}  // namespace motley
