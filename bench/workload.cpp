#include "bench/workload.h"

#include "kernels/token_index.h"
#include "tensor/random.h"

namespace motley::bench {

ModelConfig workload_model() {
  return {.family = Family::gpt2,
          .vocab = 8192,
          .context = workload_length,
          .layers = 6,
          .width = 384,
          .heads = 6,
          .kv_heads = 6,
          .head_dim = 64,
          .mlp_width = 1536,
          .tie = true};
}

Batch workload_batch(std::uint64_t number, std::size_t num_sequences) {
  const Random random(1, Purpose::test, number);
  const std::size_t vocab = workload_model().vocab;
  const std::size_t num_tokens = num_sequences * workload_length;
  Batch batch{.num_sequences = num_sequences,
              .sequence_length = workload_length,
              .tokens = {},
              .targets = {},
              .index = {}};
  for (std::size_t i = 0; i < num_tokens; ++i) {
    batch.tokens.push_back(static_cast<std::int32_t>(random.word(i) % vocab));
    batch.targets.push_back(static_cast<std::int32_t>(random.word(i + num_tokens) % vocab));
  }
  batch.index = index_tokens(batch.tokens);
  batch.num_targets = num_tokens;
  return batch;
}

}  // namespace motley::bench
