#include "bench/workload.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "kernels/token_index.h"
#include "tensor/error.h"
#include "tests/hashed.h"
#include "train/presets.h"

namespace motley::bench {
namespace {

using test::hashed;

constexpr std::uint32_t first_token_stream = 1000;
// The width of a uniform distribution whose standard deviation is 0.02: 0.02 * sqrt(12), as a float
// that Python writes the same way.
constexpr float uniform_width = 0.0692820325f;

}  // namespace

std::span<const Workload> workloads() {
  static const std::array all{
      Workload{.name = "w1",
               .text = "gpt2 L6 C384 H6 V8192 T256 B8",
               .model = {.family = Family::gpt2,
                         .vocab = 8192,
                         .context = 256,
                         .layers = 6,
                         .width = 384,
                         .heads = 6,
                         .kv_heads = 6,
                         .head_dim = 64,
                         .mlp_width = 1536,
                         .tie = true},
               .T = 256,
               .B = 8},
      Workload{.name = "w2",
               .text = "gpt2 L12 C768 H12 V50257 T64 B4",
               .model = model_config(find_preset("gpt2-124m")->model, 50257),
               .T = 64,
               .B = 4},
      Workload{.name = "w3",
               .text = "llama L8 C512 H8/2 V16384 T1024 B2",
               .model = {.family = Family::llama,
                         .vocab = 16384,
                         .context = 1024,
                         .layers = 8,
                         .width = 512,
                         .heads = 8,
                         .kv_heads = 2,
                         .head_dim = 64,
                         .mlp_width = 1408,
                         .tie = true},
               .T = 1024,
               .B = 2},
      Workload{.name = "w4",
               .text = "gpt2 L12 C768 H12 V50257 T1024 B8",
               .model = model_config(find_preset("gpt2-124m")->model, 50257),
               .T = 1024,
               .B = 8}};
  return all;
}

const Workload& find_workload(std::string_view name) {
  std::string known;
  for (const Workload& workload : workloads()) {
    if (workload.name == name) return workload;
    known += fmt::format(" {}", workload.name);
  }
  throw ConfigError("bench.workload", fmt::format("no workload '{}'; there are{}", name, known));
}

const Workload& reference_workload() {
  return workloads().front();
}

Batch workload_batch(const Workload& workload, std::uint64_t number, std::size_t num_sequences) {
  const std::size_t T = workload.T;
  const auto stream = static_cast<std::uint32_t>(first_token_stream + number);
  const auto id = [&](std::size_t sequence, std::size_t t) {
    return static_cast<std::int32_t>(
        hashed(stream, static_cast<std::uint32_t>(sequence * (T + 1) + t)) % workload.model.vocab);
  };
  Batch batch{.num_sequences = num_sequences,
              .sequence_length = T,
              .tokens = {},
              .targets = {},
              .index = {}};
  for (std::size_t sequence = 0; sequence < num_sequences; ++sequence) {
    for (std::size_t t = 0; t < T; ++t) {
      batch.tokens.push_back(id(sequence, t));
      batch.targets.push_back(id(sequence, t + 1));
    }
  }
  batch.index = index_tokens(batch.tokens);
  batch.num_targets = num_sequences * T;
  return batch;
}

void set_workload_weights(TrainStep& train) {
  std::uint32_t p = 0;
  train.set_parameters("setting weights", [&](const ParamSpec& spec, std::span<float> values) {
    std::fill(values.begin(), values.end(), spec.init == Init::ones ? 1.0f : 0.0f);
    if (spec.shape.rank() == 2) {
      for (std::size_t i = 0; i < values.size(); ++i) {
        const auto fraction =
            static_cast<float>(hashed(p, static_cast<std::uint32_t>(i)) >> 8) / 16777216.0f - 0.5f;
        values[i] = uniform_width * fraction;
      }
    }
    ++p;
  });
}

}  // namespace motley::bench
