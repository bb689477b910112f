#include "model/layers.h"

namespace motley {
namespace {

Weight find(ParamStore& params, const std::string& name) {
  Param& param = params.at(name);
  return {param.operand, param.gradient};
}

Weight find_if(bool present, ParamStore& params, const std::string& name) {
  return present ? find(params, name) : Weight{};
}

/// A new tensor with the contents of x.
Tensor clone(Stream& s, const Tensor& x) {
  Tensor y = s.tensor(x.shape(), x.dtype());
  s.copy(y, x);
  return y;
}

}  // namespace

Norm::Norm(ParamStore& params, const ModelConfig& config, const std::string& name)
    : kind_(config.traits().norm),
      eps_(config.norm_eps),
      weight_(find(params, name + ".weight")),
      bias_(find_if(kind_ == NormKind::layer_norm, params, name + ".bias")) {}

void Norm::forward(Stream& s, Tensor& y, const Tensor& x) {
  const std::size_t N = x.dim(0);
  saved_.rstd = s.tensor({N});
  if (kind_ == NormKind::rms_norm) {
    op::rms_norm(s, y, saved_.rstd, x, weight_.value, eps_);
    return;
  }
  saved_.mean = s.tensor({N});
  op::layer_norm(s, y, saved_, x, weight_.value, bias_.value, eps_);
}

void Norm::backward(Stream& s, Tensor& dx, Tensor& dy, const Tensor& x, op::Into into) {
  if (kind_ == NormKind::rms_norm) {
    op::rms_norm_backward(s, dx, weight_.gradient, dy, x, weight_.value, saved_.rstd, into);
    return;
  }
  op::layer_norm_backward(s, dx, {weight_.gradient, bias_.gradient}, dy,
                          {x, weight_.value, bias_.value}, saved_, into);
}

Linear::Linear(ParamStore& params, const ModelConfig& config, const std::string& name)
    : weight_(find(params, name + ".weight")),
      bias_(find_if(config.traits().biases, params, name + ".bias")) {}

void Linear::forward(Stream& s, Tensor& y, const Tensor& x, op::Into into) {
  op::linear(s, y, x, weight_.value, bias_.value_or_null(), into);
}

void Linear::backward_input(Stream& s, Tensor& dx, const Tensor& dy) {
  op::linear_backward(s, {.dx = &dx}, dy, nullptr, weight_.value, op::Into::replace);
}

void Linear::backward_parameters(Stream& s, const Tensor& dy, const Tensor& x) {
  op::linear_backward(s, {.dw = &weight_.gradient, .dbias = bias_.gradient_or_null()}, dy, &x,
                      weight_.value, op::Into::replace);
}

AttentionLayer::AttentionLayer(ParamStore& params, const ModelConfig& config,
                               const std::string& prefix)
    : config_(config),
      norm_(params, config, prefix + "norm1"),
      qkv_(params, config, prefix + "attn.qkv"),
      out_(params, config, prefix + "attn.out") {}

op::AttentionShape AttentionLayer::attention_shape(MicroBatchShape shape) const {
  return {
      .B = shape.B, .T = shape.T, .H = config_.heads, .G = config_.kv_heads, .D = config_.head_dim};
}

void AttentionLayer::attend(Stream& s, MicroBatchShape shape) {
  saved_.attended = s.tensor({shape.N(), config_.heads * config_.head_dim}, saved_.qkv.dtype());
  saved_.lse = s.tensor({shape.B, config_.heads, shape.T});
  op::attention(s, saved_.attended, saved_.lse, saved_.qkv, attention_shape(shape));
}

Tensor AttentionLayer::forward(Stream& s, const Tensor& x, const Tensor& rope_table,
                               MicroBatchShape shape) {
  saved_.x = x;
  saved_.qkv = s.tensor({shape.N(), config_.qkv_width()}, x.dtype());
  Tensor normalized = s.tensor(x.shape(), x.dtype());
  norm_.forward(s, normalized, x);
  qkv_.forward(s, saved_.qkv, normalized);
  normalized = {};
  if (!rope_table.empty()) op::rope(s, saved_.qkv, rope_table, attention_shape(shape));
  attend(s, shape);
  Tensor y = clone(s, x);
  out_.forward(s, y, saved_.attended, op::Into::accumulate);
  return y;
}

void AttentionLayer::backward(Stream& s, Tensor& dx, const Tensor& rope_table,
                              MicroBatchShape shape) {
  if (saved_.attended.empty()) attend(s, shape);
  Tensor dattended = s.tensor(saved_.attended.shape(), dx.dtype());
  out_.backward_input(s, dattended, dx);
  out_.backward_parameters(s, dx, saved_.attended);
  Tensor dqkv = s.tensor(saved_.qkv.shape(), dx.dtype());
  op::attention_backward(s, dqkv, dattended, {saved_.attended, saved_.lse, saved_.qkv},
                         attention_shape(shape));
  if (!rope_table.empty()) op::rope_backward(s, dqkv, rope_table, attention_shape(shape));
  Tensor normalized = s.tensor(dx.shape(), dx.dtype());
  qkv_.backward_input(s, normalized, dqkv);  // its gradient, until the next line
  norm_.backward(s, dx, normalized, saved_.x, op::Into::accumulate);
  qkv_.backward_parameters(s, dqkv, normalized);
  drop_saved();
}

void AttentionLayer::drop_saved() {
  saved_ = {};
  norm_.drop_saved();
}

void AttentionLayer::drop_attention() {
  saved_.attended = {};
  saved_.lse = {};
}

MlpLayer::MlpLayer(ParamStore& params, const ModelConfig& config, const std::string& prefix)
    : config_(config),
      norm_(params, config, prefix + "norm2"),
      up_(params, config,
          prefix + (config.traits().mlp == MlpKind::swiglu ? "mlp.gate_up" : "mlp.up")),
      down_(params, config, prefix + "mlp.down") {}

Tensor MlpLayer::forward(Stream& s, const Tensor& x) {
  const std::size_t N = x.dim(0);
  const bool gated = config_.traits().mlp == MlpKind::swiglu;
  saved_.x = x;
  saved_.up = s.tensor({N, gated ? 2 * config_.mlp_width : config_.mlp_width}, x.dtype());
  Tensor normalized = s.tensor(x.shape(), x.dtype());
  norm_.forward(s, normalized, x);
  up_.forward(s, saved_.up, normalized);
  normalized = {};
  Tensor activated = s.tensor({N, config_.mlp_width}, x.dtype());
  if (gated) {
    op::swiglu(s, activated, saved_.up);
  } else {
    op::gelu(s, activated, saved_.up, config_.gelu);
  }
  Tensor y = clone(s, x);
  down_.forward(s, y, activated, op::Into::accumulate);
  return y;
}

void MlpLayer::backward(Stream& s, Tensor& dx) {
  Tensor activated = s.tensor({dx.dim(0), config_.mlp_width}, dx.dtype());
  Tensor dup = saved_.up;
  down_.backward_input(s, activated, dx);  // its gradient, until the next line
  if (config_.traits().mlp == MlpKind::swiglu) {
    op::swiglu_backward(s, dup, activated);
  } else {
    op::gelu_backward(s, dup, activated, config_.gelu);
  }
  down_.backward_parameters(s, dx, activated);
  activated = {};
  Tensor normalized = s.tensor(dx.shape(), dx.dtype());
  up_.backward_input(s, normalized, dup);
  norm_.backward(s, dx, normalized, saved_.x, op::Into::accumulate);
  up_.backward_parameters(s, dup, normalized);
  drop_saved();
}

void MlpLayer::drop_saved() {
  saved_ = {};
  norm_.drop_saved();
}

}  // namespace motley
