// A decoder-only transformer of any family: embeddings, blocks, final norm, head and loss; forward
// and backward by hand, no tape.
#pragma once

#include <functional>
#include <vector>

#include "model/batch.h"
#include "model/config.h"
#include "model/layers.h"
#include "model/params.h"

namespace motley {

/// Told, during backward, the index of every bucket whose gradients are complete, in rising order.
using OnBucketReady = std::function<void(std::size_t bucket)>;

/// Told, during backward, of every stage before it adds to gradients, in rising order. A head that
/// is tied to the embedding adds to that of the embedding in stage 0.
using OnStageBegins = std::function<void(std::size_t stage)>;

/// Asked for before parameters of a stage are used: returns when they may be.
using OnStageNeeded = std::function<void(std::size_t stage)>;

/// How a model is computed; what it computes is the same but for roundings.
struct DecoderOptions {
  Recompute recompute = Recompute::none;
  /// Of activations and their gradients: f32, bf16 or f16. Parameters' gradients, sums and losses
  /// are f32. Parameters may be f32 in any case: products of bf16 activations round them.
  Dtype dtype = Dtype::f32;
};

/// Runs a model over parameters that somebody else owns. One micro-batch at a time.
class Decoder {
 public:
  Decoder(Device& device, const ModelConfig& config, ParamStore& params,
          const DecoderOptions& options = {});
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  const ModelConfig& config() const { return config_; }

  /// Runs the blocks over a micro-batch and keeps what backward needs. T must not pass the context.
  /// on_stage_needed is called for all stages, in falling order.
  void forward(Stream& s, const DeviceBatch& batch, const OnStageNeeded& on_stage_needed = nullptr);
  /// Adds the sum of the tokens' losses to loss_sum[0], and the gradients of that sum, times
  /// loss_scale[0] if it is given, to the parameters'. Uses up what forward kept.
  void backward(Stream& s, const DeviceBatch& batch, Tensor& loss_sum,
                const OnBucketReady& on_bucket_ready,
                const OnStageBegins& on_stage_begins = nullptr, const Tensor* loss_scale = nullptr);
  /// Adds the sum of the tokens' losses to loss_sum[0] without gradients or kept activations.
  void evaluate(Stream& s, const DeviceBatch& batch, Tensor& loss_sum);
  /// The logits of the token after the last one of each sequence, [B, V].
  Tensor next_token_logits(Stream& s, const DeviceBatch& batch);

 private:
  struct Block {
    AttentionLayer attention;
    MlpLayer mlp;
  };
  enum class Keep { no, yes };

  Tensor embed(Stream& s, const DeviceBatch& batch);
  Tensor run_block(Stream& s, Block& block, const Tensor& x, MicroBatchShape shape);
  /// The blocks' output; with Keep::yes what backward needs stays.
  Tensor run_blocks(Stream& s, const DeviceBatch& batch, Keep keep,
                    const OnStageNeeded& on_stage_needed = nullptr);
  Tensor normalize(Stream& s, const Tensor& x);
  void stage_done(std::size_t stage, const OnBucketReady& on_bucket_ready);

  ModelConfig config_;
  ParamStore& params_;
  DecoderOptions options_;
  Weight embedding_;
  Weight position_;
  Weight head_;
  Norm final_norm_;
  std::vector<Block> blocks_;
  Tensor rope_table_;
  struct Saved {
    std::vector<Tensor> block_inputs;  // for Recompute::block
    Tensor x;                          // the blocks' output, [N, C]
    Tensor normalized;                 // [N, C]
  } saved_;
};

}  // namespace motley
