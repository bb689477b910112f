// Loss, every gradient and ten AdamW steps against figures that PyTorch computed (tests/golden).
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "model/decoder.h"
#include "tensor/checked.h"
#include "tensor/safetensors.h"
#include "tests/model/tiny_models.h"
#include "tests/update_numbers.h"
#include "train/optimizer.h"

namespace motley {
namespace {

constexpr double relative_tolerance = 1e-5;
constexpr std::size_t num_steps = 10;

struct Case {
  const char* name;
  ModelConfig config;
  KernelFamily family;
};

class Golden : public testing::TestWithParam<Case> {};

std::vector<float> figures(const SafetensorsReader& file, const std::string& name) {
  const SafetensorsEntry& entry = file.get(name);
  std::vector<float> values(entry.bytes / sizeof(float));
  file.read(entry, std::as_writable_bytes(std::span(values)));
  return values;
}

/// |a - b| / |b| over whole tensors.
double relative_distance(const std::vector<float>& a, double factor, const std::vector<float>& b) {
  double difference = 0;
  double size = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    difference += std::pow(a[i] * factor - b[i], 2);
    size += double{b[i]} * b[i];
  }
  return std::sqrt(difference / size);
}

TEST_P(Golden, LossGradientsAndTenStepsAreThoseOfPyTorch) {
  const Case& tested = GetParam();
  const auto file =
      SafetensorsReader::open(std::string(MOTLEY_GOLDEN_DIR) + "/" +
                              std::string(tested.config.traits().name) + ".safetensors");
  const std::vector<float> losses = figures(file, "losses");
  const std::vector<float> norms = figures(file, "norms");

  Device device(list_devices().at(0),
                {.family = tested.family, .fresh_memory = FreshMemory::poison});
  Stream& s = device.stream();
  ParamStore params(device, tested.config);
  test::set_hashed_weights(s, params);
  Decoder decoder(device, tested.config, params);
  std::vector<Range> whole;
  for (const ParamBucket& bucket : params.buckets()) whole.push_back({bucket.begin, bucket.end});
  Optimizer optimizer(device, params, whole, OptimSettings{});
  Tensor control = device.tensor({op::control_size});
  Tensor squares = device.tensor({1, 2});

  for (std::size_t step = 0; step <= num_steps; ++step) {
    const DeviceBatch batch =
        test::hashed_batch(device, tested.config.vocab, static_cast<std::uint32_t>(step));
    const double num_tokens = static_cast<double>(batch.B * batch.T);
    Tensor loss_sum = device.zeros({1});
    params.zero_gradients(s);
    decoder.forward(s, batch);
    decoder.backward(s, batch, loss_sum, {});
    EXPECT_NEAR(test::read(s, loss_sum)[0] / num_tokens, losses[step],
                relative_tolerance * losses[step]);
    if (step == num_steps) break;
    if (step == 0) {
      for (const Param& param : params.params()) {
        EXPECT_LE(relative_distance(test::read(s, param.gradient), 1 / num_tokens,
                                    figures(file, "gradient." + param.spec.name)),
                  relative_tolerance)
            << param.spec.name;
      }
    }
    Tensor sums = squares.reshape({2});
    s.fill(sums);
    Tensor sum = sums.slice(0, 1);
    for (const ParamBucket& bucket : params.buckets()) {
      const std::size_t chunks = ceil_div(bucket.gradients.size(), op::squares_chunk);
      Tensor chunk_squares = device.tensor({chunks});
      Tensor chunk_counts = device.tensor({chunks});
      op::chunk_squares(s, chunk_squares, chunk_counts, bucket.gradients);
      op::sum(s, sum, chunk_squares, op::Into::accumulate);
    }
    op::UpdateNumbers numbers = optimizer.numbers({.learning_rate = 1e-2f, .step = step + 1});
    numbers.one_over_tokens = static_cast<float>(1 / num_tokens);
    test::write_numbers(s, control, numbers);
    op::clip_factor(s, control, squares, 1.0f);
    EXPECT_NEAR(test::read(s, control)[1], norms[step], relative_tolerance * norms[step]);
    for (std::size_t bucket = 0; bucket < whole.size(); ++bucket) {
      optimizer.update(s, bucket, params.buckets()[bucket].gradients, control);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(PyTorch, Golden,
                         testing::Values(Case{"gpt2_cpu", test::tiny_gpt2(), KernelFamily::cpu},
                                         Case{"gpt2_gpu", test::tiny_gpt2(), KernelFamily::gpu},
                                         Case{"llama_cpu", test::tiny_llama(), KernelFamily::cpu},
                                         Case{"llama_gpu", test::tiny_llama(), KernelFamily::gpu}),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace motley
