// The loss of a model over a validation split, computed by all ranks together.
#pragma once

#include <cstdint>
#include <optional>

#include "dist/communicator.h"
#include "model/decoder.h"
#include "tensor/recording.h"
#include "train/batch.h"
#include "train/dataset.h"

namespace motley {

struct EvaluationSettings {
  MicroBatchShape shape;
  std::uint64_t max_tokens = 0;       // whole sequences, one at least; 0: the whole split
  const Recording* lender = nullptr;  // may lend its memory; nothing replays it meanwhile
};

/// Means over tokens; the same on every rank.
struct Evaluation {
  double loss = 0;                      // nats per token
  double perplexity = 0;                // exp(loss)
  std::optional<double> bits_per_byte;  // of the source text, where the data say how long it is
  std::uint64_t tokens = 0;
};

/// Collective. Samples are split evenly over ranks; losses are weighted by tokens. Throws
/// NumericError when the loss is not finite, DataError when the data hold no sample, ConfigError
/// for a shape that the model cannot take.
Evaluation evaluate(Device& device, Communicator& comm, Decoder& decoder, const Dataset& dataset,
                    const EvaluationSettings& settings);

}  // namespace motley
