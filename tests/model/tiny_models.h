// The tiny models that whole-model tests share: the two of tests/golden/make_figures.py.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "model/batch.h"
#include "model/config.h"
#include "model/params.h"
#include "tensor/half.h"
#include "tests/hashed.h"

namespace motley::test {

inline ModelConfig tiny_gpt2() {
  return {.family = Family::gpt2,
          .vocab = 61,
          .context = 20,
          .layers = 2,
          .width = 24,
          .heads = 3,
          .kv_heads = 3,
          .head_dim = 8,
          .mlp_width = 96,
          .tie = true};
}

inline ModelConfig tiny_llama() {
  return {.family = Family::llama,
          .vocab = 67,
          .context = 20,
          .layers = 2,
          .width = 24,
          .heads = 4,
          .kv_heads = 2,
          .head_dim = 8,
          .mlp_width = 40};
}

/// Sets matrices uniform in +-0.25, biases in +-0.05 and norm weights in 1 +- 0.05, as
/// make_figures.py does.
inline void set_hashed_weights(Stream& s, ParamStore& params) {
  std::uint32_t stream = 0;
  for (const Param& param : params.params()) {
    const double scale = param.spec.decay == Decay::yes ? 0.5 : 0.1;
    const double centre = param.spec.init == Init::ones ? 1.0 : 0.0;
    std::vector<float> values(param.spec.shape.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double uniform =
          static_cast<double>(hashed(stream, static_cast<std::uint32_t>(i)) >> 8) / 16777216.0 -
          0.5;
      values[i] = static_cast<float>(centre + scale * uniform);
    }
    Tensor target = param.value;
    s.write<float>(target, values);
    ++stream;
  }
}

/// The micro-batch of a step of make_figures.py: B = 3 sequences of T = 17.
inline DeviceBatch hashed_batch(Device& device, std::size_t vocab, std::uint32_t step,
                                std::size_t B = 3, std::size_t T = 17) {
  std::vector<std::int32_t> tokens;
  std::vector<std::int32_t> targets;
  for (std::size_t b = 0; b < B; ++b) {
    for (std::size_t t = 0; t < T; ++t) {
      const auto at = static_cast<std::uint32_t>(b * (T + 1) + t);
      const auto size = static_cast<std::uint32_t>(vocab);
      tokens.push_back(static_cast<std::int32_t>(hashed(1000 + step, at) % size));
      targets.push_back(static_cast<std::int32_t>(hashed(1000 + step, at + 1) % size));
    }
  }
  return upload_batch(device, B, T, {tokens, targets, index_tokens(tokens)});
}

/// Of f32 or bf16.
inline std::vector<float> read(Stream& s, const Tensor& tensor) {
  std::vector<float> values(tensor.size());
  if (tensor.dtype() == Dtype::f32) {
    s.read<float>(values, tensor);
    return values;
  }
  std::vector<std::uint16_t> halves(tensor.size());
  s.read<std::uint16_t>(halves, tensor);
  std::transform(halves.begin(), halves.end(), values.begin(), f32_from_bf16);
  return values;
}

}  // namespace motley::test
