// What the programs of this folder train: models, batches and weights. Weights and tokens come from
// an integer hash, so that bench/torch_train.py starts from the same ones.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "model/config.h"
#include "train/batch.h"
#include "train/train_step.h"

namespace motley::bench {

struct Workload {
  std::string_view name;  // "w1"
  std::string_view text;  // for people
  ModelConfig model;
  std::size_t T = 0;  // tokens of a sequence
  std::size_t B = 0;  // sequences of a step
};

/// w1: GPT-2 style, 14 M parameters, the reference. w2: GPT-2 124M at llm.c's default for CPUs. w3:
/// Llama style with grouped heads, 31 M parameters, long sequences. w4: GPT-2 124M with a GPU's
/// batch of long sequences.
std::span<const Workload> workloads();
/// Throws ConfigError naming the known ones.
const Workload& find_workload(std::string_view name);
/// w1.
const Workload& reference_workload();

/// Other tokens for every number; the same for the same. Targets are the tokens one further on.
Batch workload_batch(const Workload& workload, std::uint64_t number, std::size_t num_sequences);

/// Matrices uniform with a standard deviation of 0.02, norm weights 1, biases 0.
void set_workload_weights(TrainStep& train);

}  // namespace motley::bench
