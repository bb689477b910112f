// Weights that lie somewhere on disk, whatever their format, read one parameter at a time.
#pragma once

#include <span>

#include "model/config.h"
#include "model/params.h"
#include "tensor/io.h"

namespace motley {

class WeightSource {
 public:
  virtual ~WeightSource() = default;
  /// The shape of the model the weights are of.
  virtual const ModelConfig& config() const = 0;
  /// Reads one parameter, row-major as in `spec`, as f32. Throws CheckpointError when it is
  /// missing, has another shape, or its type holds no real numbers.
  virtual void read(const ParamSpec& spec, std::span<float> values) const = 0;
  /// The tokenizer.json beside the weights; empty when there is none.
  virtual io::Path tokenizer() const = 0;
};

/// Reads every parameter into a store of the same shape. Throws CheckpointError as read() does.
void load_weights(Stream& s, ParamStore& params, const WeightSource& source);

}  // namespace motley
