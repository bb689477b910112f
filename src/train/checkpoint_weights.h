// The weights of a checkpoint for those who do not train on: eval, sample, export and
// --train.init_from.
#pragma once

#include <memory>

#include "model/weight_source.h"
#include "tensor/safetensors.h"
#include "train/checkpoint_state.h"

namespace motley {

/// The weights of one checkpoint.
class CheckpointWeights final : public WeightSource {
 public:
  /// Verifies the checkpoint first. Throws CheckpointError when it is damaged or not of its own
  /// model.
  static CheckpointWeights open(const io::Path& checkpoint);

  const ModelConfig& config() const override { return state_.model; }
  void read(const ParamSpec& spec, std::span<float> values) const override;
  io::Path tokenizer() const override;
  const CheckpointState& state() const { return state_; }

 private:
  CheckpointWeights(io::Path checkpoint, CheckpointState state, SafetensorsReader file)
      : checkpoint_(std::move(checkpoint)), state_(std::move(state)), file_(std::move(file)) {}

  io::Path checkpoint_;
  CheckpointState state_;
  SafetensorsReader file_;
};

/// The weights that `path` means: a Hugging Face directory, a checkpoint, or the newest checkpoint
/// of a run. Throws CheckpointError when it is none of these.
std::unique_ptr<WeightSource> open_weights(const io::Path& path);

/// Makes a run directory with one checkpoint, of step 0, that has weights alone: what `motley
/// import` writes. `directory` must not exist. Returns the checkpoint's path.
io::Path import_weights(const WeightSource& source, const io::Path& directory);

}  // namespace motley
