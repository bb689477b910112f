#include "train/generate.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tensor/error.h"

namespace motley {
namespace {

struct Candidate {
  std::uint32_t token;
  double probability;
};

/// Softmax of the `k` likeliest logits, likeliest first.
std::vector<Candidate> likeliest(std::span<const float> logits, const SamplingSettings& settings) {
  const std::size_t k =
      settings.top_k == 0 ? logits.size() : std::min(settings.top_k, logits.size());
  std::vector<std::uint32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0u);
  const auto before = [&](std::uint32_t a, std::uint32_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  };
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(k), order.end(),
                    before);
  std::vector<Candidate> candidates;
  double total = 0;
  for (std::size_t i = 0; i < k; ++i) {
    const double weight =
        std::exp((double{logits[order[i]]} - logits[order[0]]) / settings.temperature);
    candidates.push_back({order[i], weight});
    total += weight;
  }
  for (Candidate& candidate : candidates) candidate.probability /= total;
  return candidates;
}

DeviceBatch one_sequence(Device& device, std::span<const std::uint32_t> tokens) {
  const std::vector<std::int32_t> ids(tokens.begin(), tokens.end());
  const std::vector<std::int32_t> targets(ids.size(), op::ignored_target);
  return upload_batch(device, 1, ids.size(), {ids, targets, index_tokens(ids)});
}

}  // namespace

void check_sampling(const SamplingSettings& settings) {
  require<ConfigError>(settings.temperature >= 0 && std::isfinite(settings.temperature),
                       "sample.temperature", "the temperature is {}; it must be 0 or above",
                       settings.temperature);
  require<ConfigError>(settings.top_p > 0 && settings.top_p <= 1, "sample.top-p",
                       "top-p is {}; it must be above 0 and at most 1", settings.top_p);
}

std::uint32_t choose_token(std::span<const float> logits, const SamplingSettings& settings,
                           float uniform) {
  for (std::size_t i = 0; i < logits.size(); ++i) {
    require<NumericError>(std::isfinite(logits[i]), "sample.non-finite",
                          "the logit of token {} is {}; the model has diverged", i, logits[i]);
  }
  if (settings.temperature == 0) {
    return static_cast<std::uint32_t>(std::max_element(logits.begin(), logits.end()) -
                                      logits.begin());
  }
  std::vector<Candidate> candidates = likeliest(logits, settings);
  double kept = 0;
  std::size_t count = 0;
  while (count < candidates.size() && (count == 0 || kept < double{settings.top_p})) {
    kept += candidates[count++].probability;
  }
  double left = double{uniform} * kept;
  for (std::size_t i = 0; i + 1 < count; ++i) {
    left -= candidates[i].probability;
    if (left < 0) return candidates[i].token;
  }
  return candidates[count - 1].token;
}

void generate(Device& device, Decoder& decoder, std::span<const std::uint32_t> prompt,
              const SamplingSettings& settings, const OnToken& on_token) {
  check_sampling(settings);
  require<ConfigError>(!prompt.empty(), "sample.prompt",
                       "the prompt is empty; give at least one token");
  const std::uint32_t highest = *std::max_element(prompt.begin(), prompt.end());
  require<ConfigError>(highest < decoder.config().vocab, "sample.prompt",
                       "the prompt has token {}, the model knows {} tokens; encode it with the "
                       "model's own tokenizer",
                       highest, decoder.config().vocab);
  const Random random(settings.seed, Purpose::sample);
  const std::size_t context = decoder.config().context;
  std::vector<std::uint32_t> tokens(prompt.begin(), prompt.end());
  std::vector<float> logits(decoder.config().vocab);
  for (std::size_t i = 0; i < settings.max_tokens; ++i) {
    const std::size_t first = tokens.size() > context ? tokens.size() - context : 0;
    const DeviceBatch batch = one_sequence(device, std::span(tokens).subspan(first));
    const Tensor row = decoder.next_token_logits(device.stream(), batch);
    device.stream().read<float>(logits, row.flat());
    const std::uint32_t token = choose_token(logits, settings, random.uniform(i));
    tokens.push_back(token);
    if (!on_token(token)) return;
  }
}

}  // namespace motley
