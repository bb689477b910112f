#include "train/generate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "tensor/error.h"
#include "tests/scratch_directory.h"
#include "tests/train/tiny_training.h"

namespace motley {
namespace {

using Tokens = std::vector<std::uint32_t>;

constexpr float almost_one = 0x1.fffffep-1f;  // the largest float below 1

/// Logits whose softmax is 0.1, 0.5, 0.25 and 0.15 at temperature 1.
const std::vector<float> four_logits = {std::log(0.1f), std::log(0.5f), std::log(0.25f),
                                        std::log(0.15f)};

struct Choice {
  const char* name;
  SamplingSettings settings;
  float uniform;
  std::uint32_t token;
};

class ChooseToken : public testing::TestWithParam<Choice> {};

TEST_P(ChooseToken, TakesTheTokenAtUniform) {
  EXPECT_EQ(choose_token(four_logits, GetParam().settings, GetParam().uniform), GetParam().token);
}

const SamplingSettings greedy{.temperature = 0};
const SamplingSettings all{.temperature = 1};
const SamplingSettings top_2{.temperature = 1, .top_k = 2};
const SamplingSettings top_9{.temperature = 1, .top_k = 9};
const SamplingSettings top_half{.temperature = 1, .top_p = 0.45f};
const SamplingSettings top_six{.temperature = 1, .top_p = 0.6f};
const SamplingSettings both{.temperature = 1, .top_k = 3, .top_p = 0.8f};
const SamplingSettings cold{.temperature = 1e-30f};
const SamplingSettings hot{.temperature = 1e30f};

// The order of likelihood is 1, 2, 3, 0.
INSTANTIATE_TEST_SUITE_P(
    Distributions, ChooseToken,
    testing::Values(Choice{"Greedy", greedy, 0.0f, 1}, Choice{"GreedyAtOne", greedy, almost_one, 1},
                    Choice{"First", all, 0.0f, 1}, Choice{"StillFirst", all, 0.499f, 1},
                    Choice{"Second", all, 0.501f, 2}, Choice{"StillSecond", all, 0.749f, 2},
                    Choice{"Third", all, 0.751f, 3}, Choice{"StillThird", all, 0.899f, 3},
                    Choice{"Last", all, 0.901f, 0}, Choice{"AtOne", all, almost_one, 0},
                    // 0.5 and 0.25 become 2/3 and 1/3.
                    Choice{"TopK", top_2, 0.66f, 1}, Choice{"TopKSecond", top_2, 0.67f, 2},
                    Choice{"TopKAtOne", top_2, almost_one, 2},
                    Choice{"TopKBeyondAll", top_9, almost_one, 0},
                    Choice{"TopPOne", top_half, almost_one, 1},
                    Choice{"TopPTwo", top_six, 0.66f, 1},
                    Choice{"TopPTwoAtOne", top_six, almost_one, 2},
                    // 5/9, 2.5/9 and 1.5/9 of what top-k leaves: the first two pass 0.8.
                    Choice{"Both", both, 0.66f, 1}, Choice{"BothAtOne", both, almost_one, 2},
                    Choice{"Cold", cold, almost_one, 1}, Choice{"Hot", hot, 0.74f, 3},
                    Choice{"HotFirst", hot, 0.24f, 1}),
    [](const auto& row) { return row.param.name; });

TEST(ChooseTokenAlone, BreaksTiesTowardsTheLowerToken) {
  const std::vector<float> logits = {0, 3, 3, 3};
  EXPECT_EQ(choose_token(logits, greedy, 0.9f), 1u);
  EXPECT_EQ(choose_token(logits, {.temperature = 1, .top_k = 2}, almost_one), 2u);
  EXPECT_EQ(choose_token(logits, {.temperature = 1, .top_k = 1}, almost_one), 1u);
  EXPECT_EQ(choose_token(logits, {.temperature = 1, .top_p = 0.1f}, almost_one), 1u);
}

TEST(ChooseTokenAlone, HandlesLargeLogitsAndOneToken) {
  const std::vector<float> large = {80, -80, 3e38f, -3e38f};
  EXPECT_EQ(choose_token(large, all, almost_one), 2u);
  EXPECT_EQ(choose_token(std::vector<float>{-5}, all, almost_one), 0u);
}

TEST(ChooseTokenAlone, FollowsTheProbabilities) {
  constexpr std::size_t draws = 1000;
  std::map<std::uint32_t, std::size_t> counts;
  for (std::size_t i = 0; i < draws; ++i) {
    const float uniform = (static_cast<float>(i) + 0.5f) / static_cast<float>(draws);
    ++counts[choose_token(four_logits, all, uniform)];
  }
  EXPECT_EQ(counts, (std::map<std::uint32_t, std::size_t>{{0, 100}, {1, 500}, {2, 250}, {3, 150}}));
}

TEST(ChooseTokenAlone, RefusesLogitsThatAreNoNumbers) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), infinity, -infinity}) {
    for (const SamplingSettings& settings : {greedy, all}) {
      const std::string message = message_of<NumericError>([&] {
        choose_token(std::vector<float>{0, 1, bad}, settings, 0.5f);
      });
      expect_mentions(message, "token 2");
    }
  }
}

TEST(CheckSampling, NamesWhatIsOutOfRange) {
  const auto message = [](const SamplingSettings& settings) {
    return message_of<ConfigError>([&] { check_sampling(settings); });
  };
  expect_mentions(message({.temperature = -0.1f}), "temperature");
  expect_mentions(message({.temperature = std::numeric_limits<float>::quiet_NaN()}), "temperature");
  expect_mentions(message({.top_p = 0}), "top-p");
  expect_mentions(message({.top_p = 1.5f}), "top-p");
  check_sampling({.temperature = 0, .top_k = 1, .top_p = 1});
}

/// A tiny model with weights that make no two tokens alike.
struct Sampler {
  Device& device = test::device_of(0);
  ParamStore params;
  Decoder decoder;

  explicit Sampler(const ModelConfig& config)
      : params(device, config), decoder(device, config, params) {
    test::set_hashed_weights(device.stream(), params);
  }
  Tokens run(const Tokens& prompt, const SamplingSettings& settings) {
    Tokens tokens;
    generate(device, decoder, prompt, settings, [&](std::uint32_t token) {
      tokens.push_back(token);
      return true;
    });
    return tokens;
  }
};

Tokens hashed_prompt(std::size_t size, std::uint32_t vocab) {
  Tokens prompt;
  for (std::uint32_t i = 0; i < size; ++i) prompt.push_back(test::hashed(77, i) % vocab);
  return prompt;
}

TEST(Generate, GivesTheSameTokensForTheSameSeed) {
  for (const ModelConfig& config : {test::tiny_gpt2(), test::tiny_llama()}) {
    Sampler sampler(config);
    const SamplingSettings settings{.temperature = 2, .seed = 5, .max_tokens = 24};
    const Tokens tokens = sampler.run({1, 2, 3}, settings);
    EXPECT_EQ(tokens.size(), 24u);
    EXPECT_LT(*std::max_element(tokens.begin(), tokens.end()), config.vocab);
    EXPECT_EQ(sampler.run({1, 2, 3}, settings), tokens);
    SamplingSettings other = settings;
    other.seed = 6;
    EXPECT_NE(sampler.run({1, 2, 3}, other), tokens);
  }
}

TEST(Generate, TakesTheLikeliestTokenAtTemperatureZero) {
  Sampler sampler(test::tiny_llama());
  Tokens text = {5};
  for (const std::uint32_t token : sampler.run(text, {.temperature = 0, .max_tokens = 4})) {
    const std::vector<std::int32_t> ids(text.begin(), text.end());
    const std::vector<std::int32_t> targets(ids.size(), op::ignored_target);
    const DeviceBatch batch =
        upload_batch(sampler.device, 1, ids.size(), {ids, targets, index_tokens(ids)});
    const std::vector<float> logits = test::read(
        sampler.device.stream(), sampler.decoder.next_token_logits(sampler.device.stream(), batch));
    EXPECT_EQ(token, static_cast<std::uint32_t>(std::max_element(logits.begin(), logits.end()) -
                                                logits.begin()));
    text.push_back(token);
  }
}

TEST(Generate, ForgetsTheOldestTokensBeyondTheContext) {
  for (const ModelConfig& config : {test::tiny_gpt2(), test::tiny_llama()}) {
    Sampler sampler(config);
    const SamplingSettings settings{.temperature = 2, .seed = 5, .max_tokens = 8};
    const Tokens prompt = hashed_prompt(33, static_cast<std::uint32_t>(config.vocab));
    const Tokens end(prompt.end() - static_cast<std::ptrdiff_t>(config.context), prompt.end());
    const Tokens tokens = sampler.run(prompt, settings);
    EXPECT_EQ(tokens, sampler.run(end, settings));
    // The oldest token within the context still counts: some other one changes the text.
    bool changes = false;
    Tokens changed = end;
    for (changed[0] = 0; changed[0] < config.vocab && !changes; ++changed[0])
      changes = sampler.run(changed, settings) != tokens;
    EXPECT_TRUE(changes);
  }
}

TEST(Generate, StopsWhenToldTo) {
  Sampler sampler(test::tiny_gpt2());
  std::size_t count = 0;
  generate(sampler.device, sampler.decoder, Tokens{1}, {.max_tokens = 10},
           [&](std::uint32_t) { return ++count < 3; });
  EXPECT_EQ(count, 3u);
  EXPECT_TRUE(sampler.run({1}, {.max_tokens = 0}).empty());
}

TEST(Generate, RefusesPromptsOfAnotherModel) {
  Sampler sampler(test::tiny_gpt2());
  const auto message = [&](const Tokens& prompt) {
    return message_of<ConfigError>([&] { sampler.run(prompt, {}); });
  };
  expect_mentions(message({}), "empty");
  expect_mentions(message({3, 61}), "token 61, the model knows 61");
}

TEST(Generate, SaysWhenTheModelHasDiverged) {
  Sampler sampler(test::tiny_gpt2());
  Tensor bias = sampler.params.at("final_norm.bias").value;
  const std::vector<float> bad(bias.size(), std::numeric_limits<float>::quiet_NaN());
  sampler.device.stream().write<float>(bias, bad);
  EXPECT_THROW(sampler.run({1}, {}), NumericError);
}

}  // namespace
}  // namespace motley
