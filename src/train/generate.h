// Sampling text from a model, token by token.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "model/decoder.h"

namespace motley {

struct SamplingSettings {
  float temperature = 0.8f;  // 0 takes the likeliest token always
  std::size_t top_k = 0;     // only the k likeliest tokens; 0: all
  float top_p = 1.0f;        // only the likeliest tokens that together reach this probability
  std::uint64_t seed = 1337;
  std::size_t max_tokens = 128;
};

/// Throws ConfigError naming the setting that is out of range.
void check_sampling(const SamplingSettings& settings);

/// The token at `uniform`, in [0, 1), of the distribution that `settings` leave of the logits. Ties
/// are broken towards the lower token. Throws NumericError when a logit is not a number.
std::uint32_t choose_token(std::span<const float> logits, const SamplingSettings& settings,
                           float uniform);

/// Called with every new token; returns false to stop.
using OnToken = std::function<bool(std::uint32_t token)>;

/// Continues `prompt` (at least one token) by up to settings.max_tokens. When the context is full
/// its oldest tokens are forgotten. The same seed gives the same text on the same kind of device.
void generate(Device& device, Decoder& decoder, std::span<const std::uint32_t> prompt,
              const SamplingSettings& settings, const OnToken& on_token);

}  // namespace motley
