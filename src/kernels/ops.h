// The index of every op: what a device can compute. An op checks shapes, picks the kernel of the
// device's family and enqueues it; it never waits. Outputs come first, then inputs.
//
// Letters: B batch, T time, N = B*T tokens, C channels, H heads, G key/value heads, D head size,
// F mlp width, V vocabulary. dX is the gradient of the loss with respect to X. Tensors are f32
// unless said otherwise. Activations (x, y, qkv, gate_up) and their gradients may be bf16 or f16
// instead, all of one call alike: ops compute in f32 all the same and round where they write, to
// nearest even. Parameters, their gradients and what is saved of a row (rstd, lse) are f32.
// Parameter gradients are added to (+=), activation gradients are written (=) unless an Into says
// otherwise.
// Every op gives the same bits for the same input, run after run. All throw ShapeError when tensors
// do not fit together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "tensor/gemm_plan.h"
#include "tensor/random.h"
#include "tensor/stream.h"
#include "tensor/tensor.h"

namespace motley::op {

/// Whether an op replaces its output or adds to it.
enum class Into { replace, accumulate };

// --- moving and making numbers -------------------------------------------------------------------

/// y[i] += x[i].
void add(Stream& s, Tensor& y, const Tensor& x);
/// y[i] = x[i] in y's dtype, rounded to nearest even; f32, f16 and bf16 in any combination.
void cast(Stream& s, Tensor& y, const Tensor& x);
/// y[i] uniform in [0, 1): exactly random.uniform(i).
void random_uniform(Stream& s, Tensor& y, const Random& random);
/// y[i] normal with mean 0 and the given standard deviation (Box-Muller over random.block(i / 4)).
void random_normal(Stream& s, Tensor& y, const Random& random, float stddev);

// --- embedding -----------------------------------------------------------------------------------

/// The positions of a batch's tokens grouped by token, so that the gradient of a table row is
/// summed by one owner in position order. rows: [U] distinct tokens; starts: [U+1]; positions: [N].
/// All i32.
struct TokenIndex {
  Tensor rows;
  Tensor starts;
  Tensor positions;
};

/// y[n] = table[tokens[n]]. y: [N, C]; tokens: [N] i32 in [0, V); table: [V, C].
void embedding(Stream& s, Tensor& y, const Tensor& tokens, const Tensor& table);
/// dtable[token] += sum of dy[n] over the token's positions, in order. dtable: [V, C]; dy: [N, C].
void embedding_backward(Stream& s, Tensor& dtable, const Tensor& dy, const TokenIndex& index);
/// y[b*T + t] += table[t]. y: [N, C]; table: [at least T, C].
void position_embedding(Stream& s, Tensor& y, const Tensor& table, std::size_t T);
/// dtable[t] += sum over b of dy[b*T + t], in order of b.
void position_embedding_backward(Stream& s, Tensor& dtable, const Tensor& dy, std::size_t T);

// --- normalisation -------------------------------------------------------------------------------

/// y[n,c] = x[n,c] * rstd[n] * w[c], rstd = 1/sqrt(mean_c(x^2) + eps) (Zhang and Sennrich 2019).
/// y, x: [N, C]; rstd: [N], saved for backward; w: [C].
void rms_norm(Stream& s, Tensor& y, Tensor& rstd, const Tensor& x, const Tensor& w, float eps);
/// dx (as `into` says) and dw (+=) of rms_norm; dy becomes y again, with rms_norm's bits, so that
/// nobody needs to keep it. dx, dy, x: [N, C]; dw, w: [C]; rstd: [N].
void rms_norm_backward(Stream& s, Tensor& dx, Tensor& dw, Tensor& dy, const Tensor& x,
                       const Tensor& w, const Tensor& rstd, Into into);

/// What layer_norm saves for its backward: mean and 1/standard deviation of each row, [N] each.
struct LayerNormSaved {
  Tensor mean;
  Tensor rstd;
};
/// y = (x - mean) * rstd * w + b per row, variance biased (Ba et al. 2016). y, x: [N, C]; w, b:
/// [C].
void layer_norm(Stream& s, Tensor& y, LayerNormSaved& saved, const Tensor& x, const Tensor& w,
                const Tensor& b, float eps);
/// What layer_norm_backward adds to.
struct LayerNormGradients {
  Tensor& dw;
  Tensor& db;
};
/// What layer_norm computed with.
struct LayerNormInputs {
  const Tensor& x;
  const Tensor& w;
  const Tensor& b;
};
/// dx (as `into` says), dw (+=) and db (+=) of layer_norm; dy becomes y again, with its bits.
void layer_norm_backward(Stream& s, Tensor& dx, LayerNormGradients gradients, Tensor& dy,
                         const LayerNormInputs& inputs, const LayerNormSaved& saved, Into into);

// --- matrix multiplication -----------------------------------------------------------------------

using motley::Transpose;

/// c = a b, a^T b or a b^T, replaced or added to. Row-major; c: [M, N]; the inner size is K. Each
/// is f32, or bf16 or f16, but not both. With bf16 among them factors in f32 may be rounded to
/// bf16; sums are f32 and are rounded once.
void matmul(Stream& s, Tensor& c, const Tensor& a, const Tensor& b, Transpose transpose, Into into);

/// y = x w^T + bias. y: [N, O]; x: [N, I]; w: [O, I]; bias: [O] or null. With Into::accumulate y
/// grows by it, which is how a residual connection is written.
void linear(Stream& s, Tensor& y, const Tensor& x, const Tensor& w, const Tensor* bias, Into into);
/// dx = dy w (as `into` says), dw += dy^T x, dbias += column sums of dy (unless null).
struct LinearGradients {
  Tensor* dx = nullptr;
  Tensor* dw = nullptr;
  Tensor* dbias = nullptr;
};
/// Computes those gradients of linear that are not null. x may be null where dw is.
void linear_backward(Stream& s, LinearGradients gradients, const Tensor& dy, const Tensor* x,
                     const Tensor& w, Into into_dx);

// --- attention -----------------------------------------------------------------------------------

/// How a packed qkv of [N, (H + 2G) * D] is laid out: H query heads, then G key heads, then G value
/// heads, each of D columns. Query head h uses key/value head h / (H / G).
struct AttentionShape {
  std::size_t B = 0;
  std::size_t T = 0;
  std::size_t H = 0;
  std::size_t G = 0;
  std::size_t D = 0;
};

/// The table of rope() for positions below T: [T, D], computed on the host in double. Row t holds
/// the cosines of t * theta^(-2i/D) for i < D/2, then their sines. Throws ShapeError when D is odd.
Tensor rope_table(Stream& s, std::size_t T, std::size_t D, double theta);
/// Rotates queries and keys in place by their position, rotate-half pairing (i, i + D/2) as in
/// Hugging Face's Llama (Su et al. 2021). table: [at least T, D], cosines of D/2 angles, then their
/// sines.
void rope(Stream& s, Tensor& qkv, const Tensor& table, const AttentionShape& shape);
/// The inverse rotation, which is rope's gradient, in place.
void rope_backward(Stream& s, Tensor& dqkv, const Tensor& table, const AttentionShape& shape);

/// Causal attention, scale 1/sqrt(D), by blocks with running maximum and sum (Dao et al. 2022): no
/// T x T matrix is ever in memory. y: [N, H * D]; lse: [B, H, T], log of each row's sum, saved; qkv
/// as above.
void attention(Stream& s, Tensor& y, Tensor& lse, const Tensor& qkv, const AttentionShape& shape);
/// dqkv of attention. y and lse are what the forward gave.
struct AttentionSaved {
  const Tensor& y;
  const Tensor& lse;
  const Tensor& qkv;
};
void attention_backward(Stream& s, Tensor& dqkv, const Tensor& dy, const AttentionSaved& saved,
                        const AttentionShape& shape);

// --- activations ---------------------------------------------------------------------------------

/// y = silu(gate) * up (Shazeer 2020). y: [N, F]; gate_up: [N, 2F], gate in the first F columns.
void swiglu(Stream& s, Tensor& y, const Tensor& gate_up);
/// The gradient, in place: gate_up becomes dgate_up. dy becomes y again, with swiglu's bits, so
/// that nobody needs to keep it.
void swiglu_backward(Stream& s, Tensor& gate_up, Tensor& dy);

/// `tanh` is GPT-2's approximation, `erf` the exact form (Hendrycks and Gimpel 2016).
enum class Gelu { tanh, erf };
void gelu(Stream& s, Tensor& y, const Tensor& x, Gelu kind);
/// The gradient, in place: x becomes dx, and dy becomes y again, with gelu's bits.
void gelu_backward(Stream& s, Tensor& x, Tensor& dy, Gelu kind);

// --- loss ----------------------------------------------------------------------------------------

/// A target of a token that counts for nothing.
inline constexpr std::int32_t ignored_target = -1;

/// How many of N tokens' logits over V classes are in memory at a time, in a dtype: all chunks but
/// the last have so many.
std::size_t head_chunk_rows(std::size_t N, std::size_t V, Dtype dtype);

/// loss[n] = log(sum_v exp(logits[n,v])) - logits[n, targets[n]] with logits = x w^T, a chunk of
/// tokens at a time, so that never all logits are in memory. 0 where the target is ignored_target.
/// loss: [N]; x: [N, C]; w: [V, C]; targets: [N] i32.
void linear_cross_entropy(Stream& s, Tensor& loss, const Tensor& x, const Tensor& w,
                          const Tensor& targets);
/// The same, and the gradient of the sum of all losses: dx (=) and dw (+=), times scale[0] or,
/// where it is null, 1. So gradients that f16 would round to 0 stay in its range.
struct LinearCrossEntropyGradients {
  Tensor& dx;
  Tensor& dw;
  const Tensor* scale = nullptr;  // [1]
};
void linear_cross_entropy_with_gradient(Stream& s, Tensor& loss,
                                        LinearCrossEntropyGradients gradients, const Tensor& x,
                                        const Tensor& w, const Tensor& targets);

// --- reductions ----------------------------------------------------------------------------------

/// out[0] (as `into` says) = sum of x in a fixed order. out: [1].
void sum(Stream& s, Tensor& out, const Tensor& x, Into into);
/// How many elements make a chunk of chunk_squares: sums of squares that start at multiples of it
/// do not depend on how a larger tensor is cut.
constexpr std::size_t squares_chunk = 4096;
/// squares[i] = sum of squares of chunk i of x, counts[i] = how many of its elements are infinite
/// or not a number, in a fixed order. squares, counts: [ceil(size / squares_chunk)].
void chunk_squares(Stream& s, Tensor& squares, Tensor& counts, const Tensor& x);
/// What pack writes. y: [size]; bad: [1] i32, grows by how many of y are infinite or not a number;
/// rounded: [size] bf16 or null, y rounded to nearest even.
struct Packed {
  Tensor& y;
  Tensor& bad;
  Tensor* rounded = nullptr;
};
/// y[i] += each addend's [i], in their order; and, in the same pass, the count and the rounding.
/// With up to three addends memory is passed over once. addends: [size] each.
void pack(Stream& s, Packed out, std::span<const Tensor> addends);
/// out[c] += sum over rows of x[n,c] in a fixed order. out: [C]; x: [N, C].
void column_sum(Stream& s, Tensor& out, const Tensor& x);

// --- optimizers ----------------------------------------------------------------------------------

/// What every update reads from the device, [7]. What clip_factor found: [0] the factor gradients
/// are multiplied by (clipping and 1/tokens in one), [1] the norm of the mean gradient before
/// clipping, [2] the count of non-finite gradients; when that is not zero an update changes
/// nothing. And an UpdateNumbers, which is the caller's to write: so an update is the same commands
/// in every step.
using UpdateControl = Tensor;
/// What depends on the step and not on the gradients; computed in double, rounded once.
struct UpdateNumbers {
  float rate = 0;             // the learning rate, for AdamW with m's bias corrected
  float root = 1;             // for AdamW, what corrects the bias of v's root
  float keep = 1;             // what decay leaves of a weight
  float one_over_tokens = 1;  // gradients are sums over so many tokens
  std::uint32_t step = 0;     // of the update, for StochasticRounding
};
inline constexpr std::size_t control_size = 8;
/// Where an UpdateNumbers lies in a control.
inline constexpr std::size_t numbers_begin = 3;

/// Fills the first three of `control` from each rank's partial sums. partials: [P, 2] of (sum of
/// squares, non-finite count), added in index order; `max_norm` 0 means no clipping.
void clip_factor(Stream& s, UpdateControl& control, const Tensor& partials, float max_norm);

/// How weights of 16 bits are rounded up or down at random, so that their mean is that of f32
/// (Gupta et al. 2015). Which way depends on nothing but the key, a weight's number and the step.
struct StochasticRounding {
  Random random;            // whose stream is not used
  std::uint64_t first = 0;  // the number of the first weight, a multiple of 64
};
/// The weights that an update changes: f32; or bf16 with a rest of f32 beside them (split_f32), so
/// that they change as if they were f32; or bf16 alone, rounded at random.
struct Weights {
  Weights(Tensor& w) : values(w) {}  // NOLINT(google-explicit-constructor)
  Weights(Tensor& w, Tensor& r) : values(w), rest(&r) {}
  Weights(Tensor& w, const StochasticRounding& r) : values(w), rounding(&r) {}

  Tensor& values;
  Tensor* rest = nullptr;  // u16, of the same size
  const StochasticRounding* rounding = nullptr;
};

/// AdamW (Loshchilov and Hutter 2019), decay decoupled, bias corrected; `step` counts from 1.
struct AdamW {
  float learning_rate = 0;
  float beta1 = 0.9f;
  float beta2 = 0.95f;
  float epsilon = 1e-8f;
  float weight_decay = 0;
  std::uint64_t step = 1;
};
/// Throws ConfigError for numbers that no update can use.
UpdateNumbers numbers_of(const AdamW& settings);
/// w, m, v are updated in place from g. All of one size. Of the settings, beta1, beta2 and epsilon
/// are looked at; the others are in `control`, by numbers_of. `decays`: whether weights decay.
void adamw(Stream& s, Weights w, Tensor& m, Tensor& v, const Tensor& g,
           const UpdateControl& control, const AdamW& settings, bool decays = true);

/// Lion (Chen et al. 2023), decay decoupled.
struct Lion {
  float learning_rate = 0;
  float beta1 = 0.9f;
  float beta2 = 0.99f;
  float weight_decay = 0;
};
UpdateNumbers numbers_of(const Lion& settings);
void lion(Stream& s, Weights w, Tensor& m, const Tensor& g, const UpdateControl& control,
          const Lion& settings, bool decays = true);

/// SGD with momentum m = momentum * m + g, w -= learning_rate * (m + weight_decay * w).
struct Sgd {
  float learning_rate = 0;
  float momentum = 0.9f;
  float weight_decay = 0;
};
UpdateNumbers numbers_of(const Sgd& settings);
void sgd(Stream& s, Weights w, Tensor& m, const Tensor& g, const UpdateControl& control,
         const Sgd& settings, bool decays = true);

}  // namespace motley::op
