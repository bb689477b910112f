// The reference workload: GPT-2 style, 6 layers, width 384, 6 heads, T = 256, vocabulary 8192,
// random tokens.
#pragma once

#include "model/config.h"
#include "train/batch.h"

namespace motley::bench {

constexpr std::size_t workload_length = 256;

ModelConfig workload_model();

/// Other tokens for every number; the same for the same.
Batch workload_batch(std::uint64_t number, std::size_t num_sequences);

}  // namespace motley::bench
