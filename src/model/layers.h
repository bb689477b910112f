// The layers of a decoder block: each has its weights, what forward saved, and forward and backward
// side by side. Parameter gradients accumulate (+=), activation gradients are written (=), the
// residual stream is the exception: both directions add to it. What norms and activations gave is
// not kept between forward and backward: their backward makes it again where its gradient was, and
// the gradients of the weights that multiplied it come after that.
#pragma once

#include <cstddef>
#include <string>

#include "kernels/ops.h"
#include "model/config.h"
#include "model/params.h"

namespace motley {

/// A parameter's value and gradient as a layer sees them. No tensors where the model has no such
/// parameter.
struct Weight {
  Tensor value;
  Tensor gradient;

  const Tensor* value_or_null() const { return value.empty() ? nullptr : &value; }
  Tensor* gradient_or_null() { return gradient.empty() ? nullptr : &gradient; }
};

/// RMSNorm or LayerNorm, as the family says.
class Norm {
 public:
  Norm(ParamStore& params, const ModelConfig& config, const std::string& name);
  /// y, x: [N, C]. Saves the statistics.
  void forward(Stream& s, Tensor& y, const Tensor& x);
  /// dx (as `into` says) and the parameters' gradients (+=); dy becomes forward's y again. x is
  /// forward's input.
  void backward(Stream& s, Tensor& dx, Tensor& dy, const Tensor& x, op::Into into);
  /// Gives back what forward saved.
  void drop_saved() { saved_ = {}; }

 private:
  NormKind kind_;
  float eps_;
  Weight weight_;
  Weight bias_;
  op::LayerNormSaved saved_;  // rms_norm uses rstd alone
};

/// y = x w^T + b.
class Linear {
 public:
  Linear(ParamStore& params, const ModelConfig& config, const std::string& name);
  void forward(Stream& s, Tensor& y, const Tensor& x, op::Into into = op::Into::replace);
  /// dx (=).
  void backward_input(Stream& s, Tensor& dx, const Tensor& dy);
  /// The parameters' gradients (+=). x is forward's input.
  void backward_parameters(Stream& s, const Tensor& dy, const Tensor& x);

 private:
  Weight weight_;
  Weight bias_;
};

/// The shape of one micro-batch.
struct MicroBatchShape {
  std::size_t B = 0;
  std::size_t T = 0;
  std::size_t N() const { return B * T; }
};

/// x += out(attention(rope(qkv(norm(x))))).
class AttentionLayer {
 public:
  AttentionLayer(ParamStore& params, const ModelConfig& config, const std::string& prefix);
  /// Returns x plus the layer's contribution, [N, C]. `rope_table` may be empty (learned
  /// positions).
  Tensor forward(Stream& s, const Tensor& x, const Tensor& rope_table, MicroBatchShape shape);
  /// dx: gradient of the output on entry, of the input on return.
  void backward(Stream& s, Tensor& dx, const Tensor& rope_table, MicroBatchShape shape);
  void drop_saved();
  /// Gives back attention's output alone, to be computed again by backward.
  void drop_attention();

 private:
  op::AttentionShape attention_shape(MicroBatchShape shape) const;
  void attend(Stream& s, MicroBatchShape shape);

  const ModelConfig& config_;
  Norm norm_;
  Linear qkv_;
  Linear out_;
  struct Saved {
    Tensor x;         // [N, C]
    Tensor qkv;       // [N, (H + 2G) * D], rotated
    Tensor attended;  // [N, H * D]
    Tensor lse;       // [B, H, T]
  } saved_;
};

/// x += down(activation(up(norm(x)))).
class MlpLayer {
 public:
  MlpLayer(ParamStore& params, const ModelConfig& config, const std::string& prefix);
  Tensor forward(Stream& s, const Tensor& x);
  void backward(Stream& s, Tensor& dx);
  void drop_saved();

 private:
  const ModelConfig& config_;
  Norm norm_;
  Linear up_;
  Linear down_;
  struct Saved {
    Tensor x;   // [N, C]
    Tensor up;  // [N, F], or [N, 2F] for swiglu
  } saved_;
};

}  // namespace motley
