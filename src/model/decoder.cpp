#include "model/decoder.h"

#include "tensor/error.h"

namespace motley {
namespace {

Weight weight_of(ParamStore& params, const std::string& name) {
  Param& param = params.at(name);
  return {param.operand, param.gradient};
}

}  // namespace

Decoder::Decoder(Device& device, const ModelConfig& config, ParamStore& params,
                 const DecoderOptions& options)
    : config_(config),
      params_(params),
      options_(options),
      embedding_(weight_of(params, "embed.weight")),
      head_(config.tie ? embedding_ : weight_of(params, "head.weight")),
      final_norm_(params, config_, "final_norm") {
  config_.validate();
  blocks_.reserve(config_.layers);
  for (std::size_t layer = 0; layer < config_.layers; ++layer) {
    const std::string prefix = "layers." + std::to_string(layer) + ".";
    blocks_.push_back({AttentionLayer(params, config_, prefix), MlpLayer(params, config_, prefix)});
  }
  if (config_.traits().position == PositionKind::learned) {
    position_ = weight_of(params, "position.weight");
  } else {
    rope_table_ =
        op::rope_table(device.stream(), config_.context, config_.head_dim, config_.rope_theta);
  }
}

Tensor Decoder::embed(Stream& s, const DeviceBatch& batch) {
  require<ShapeError>(batch.T <= config_.context, "model.context",
                      "a sequence of {} tokens was given; this model's context is {}", batch.T,
                      config_.context);
  Tensor x = s.tensor({batch.B * batch.T, config_.width}, options_.dtype);
  op::embedding(s, x, batch.tokens, embedding_.value);
  if (!position_.value.empty()) op::position_embedding(s, x, position_.value, batch.T);
  return x;
}

Tensor Decoder::run_block(Stream& s, Block& block, const Tensor& x, MicroBatchShape shape) {
  const Tensor attended = block.attention.forward(s, x, rope_table_, shape);
  return block.mlp.forward(s, attended);
}

Tensor Decoder::run_blocks(Stream& s, const DeviceBatch& batch, Keep keep,
                           const OnStageNeeded& on_stage_needed) {
  const MicroBatchShape shape{batch.B, batch.T};
  std::size_t stage = blocks_.size() + 1;
  const auto need = [&] {
    if (on_stage_needed) on_stage_needed(stage);
    params_.widen(s, stage--);
  };
  need();
  Tensor x = embed(s, batch);
  for (Block& block : blocks_) {
    need();
    if (keep == Keep::yes && options_.recompute == Recompute::block)
      saved_.block_inputs.push_back(x);
    x = run_block(s, block, x, shape);
    if (keep == Keep::no || options_.recompute == Recompute::block) {
      block.attention.drop_saved();
      block.mlp.drop_saved();
    } else if (options_.recompute == Recompute::attention) {
      block.attention.drop_attention();
    }
  }
  return x;
}

Tensor Decoder::normalize(Stream& s, const Tensor& x) {
  params_.widen(s, 0);
  Tensor y = s.tensor(x.shape(), x.dtype());
  final_norm_.forward(s, y, x);
  return y;
}

void Decoder::forward(Stream& s, const DeviceBatch& batch, const OnStageNeeded& on_stage_needed) {
  saved_ = {};
  saved_.x = run_blocks(s, batch, Keep::yes, on_stage_needed);
  if (on_stage_needed) on_stage_needed(0);
  saved_.normalized = normalize(s, saved_.x);
}

void Decoder::backward(Stream& s, const DeviceBatch& batch, Tensor& loss_sum,
                       const OnBucketReady& on_bucket_ready, const OnStageBegins& on_stage_begins,
                       const Tensor* loss_scale) {
  require<ShapeError>(!saved_.x.empty(), "model.backward",
                      "backward was called without a forward before it");
  const MicroBatchShape shape{batch.B, batch.T};
  std::size_t stage = 0;
  const auto begin_stage = [&] {
    if (on_stage_begins) on_stage_begins(stage);
  };
  begin_stage();
  Tensor loss = s.tensor({shape.N()});
  Tensor dnormalized = s.tensor(saved_.normalized.shape(), options_.dtype);
  op::linear_cross_entropy_with_gradient(s, loss, {dnormalized, head_.gradient, loss_scale},
                                         saved_.normalized, head_.value, batch.targets);
  op::sum(s, loss_sum, loss, op::Into::accumulate);
  Tensor dx = s.tensor(saved_.x.shape(), options_.dtype);
  final_norm_.backward(s, dx, dnormalized, saved_.x, op::Into::replace);
  dnormalized = {};
  saved_.x = {};
  saved_.normalized = {};
  stage_done(stage++, on_bucket_ready);
  for (std::size_t layer = blocks_.size(); layer-- > 0;) {
    Block& block = blocks_[layer];
    begin_stage();
    if (options_.recompute == Recompute::block) {
      run_block(s, block, saved_.block_inputs[layer], shape);
      saved_.block_inputs.pop_back();
    }
    block.mlp.backward(s, dx);
    block.attention.backward(s, dx, rope_table_, shape);
    stage_done(stage++, on_bucket_ready);
  }
  begin_stage();
  if (!position_.value.empty()) op::position_embedding_backward(s, position_.gradient, dx, batch.T);
  op::embedding_backward(s, embedding_.gradient, dx, batch.index);
  stage_done(stage, on_bucket_ready);
}

void Decoder::evaluate(Stream& s, const DeviceBatch& batch, Tensor& loss_sum) {
  const Tensor normalized = normalize(s, run_blocks(s, batch, Keep::no));
  final_norm_.drop_saved();
  Tensor loss = s.tensor({batch.B * batch.T});
  op::linear_cross_entropy(s, loss, normalized, head_.value, batch.targets);
  op::sum(s, loss_sum, loss, op::Into::accumulate);
}

Tensor Decoder::next_token_logits(Stream& s, const DeviceBatch& batch) {
  const Tensor x = run_blocks(s, batch, Keep::no);
  Tensor last = s.tensor({batch.B, config_.width}, options_.dtype);
  for (std::size_t b = 0; b < batch.B; ++b) {
    Tensor row = last.slice(b, b + 1);
    s.copy(row, x.slice((b + 1) * batch.T - 1, (b + 1) * batch.T));
  }
  const Tensor normalized = normalize(s, last);
  final_norm_.drop_saved();
  Tensor logits = s.tensor({batch.B, config_.vocab});
  op::linear(s, logits, normalized, head_.value, nullptr, op::Into::replace);
  return logits;
}

void Decoder::stage_done(std::size_t stage, const OnBucketReady& on_bucket_ready) {
  if (!on_bucket_ready) return;
  for (std::size_t i = 0; i < params_.buckets().size(); ++i) {
    if (params_.buckets()[i].last_stage == stage) on_bucket_ready(i);
  }
}

}  // namespace motley
