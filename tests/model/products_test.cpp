#include "model/products.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "model/decoder.h"
#include "tests/model/tiny_models.h"

namespace motley {
namespace {

double flops_of(const std::vector<Product>& products) {
  return std::accumulate(products.begin(), products.end(), 0.0, [](double sum, const Product& p) {
    return sum + p.shape.flops() * static_cast<double>(p.count);
  });
}

const Product& find(const std::vector<Product>& products, const std::string& name) {
  for (const Product& product : products) {
    if (product.name.find(name) != std::string::npos) return product;
  }
  throw std::runtime_error("no product " + name);
}

/// The sum over all products, from the parameters: 2 operations a weight forward, 4 backward.
TEST(Products, AddUpToTheOperationsOfAllMatrices) {
  for (const ModelConfig& config : {test::tiny_gpt2(), test::tiny_llama()}) {
    const std::size_t B = 2;
    const std::size_t T = 9;
    const std::size_t gated = config.traits().mlp == MlpKind::swiglu ? 3 : 2;
    const std::size_t weights = config.layers * (config.width * config.qkv_width() +
                                                 config.width * config.heads * config.head_dim +
                                                 gated * config.width * config.mlp_width) +
                                config.vocab * config.width;
    for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
      const double flops = flops_of(training_products(config, B, T, dtype));
      EXPECT_DOUBLE_EQ(flops, 6.0 * static_cast<double>(B * T * weights));
    }
  }
}

/// What the decoder really multiplies, by the operations its kernels know of.
TEST(Products, AreThoseTheDecoderMultiplies) {
  const ModelConfig config = test::tiny_llama();
  Device device(list_devices().at(0), {.family = KernelFamily::cpu, .profiled = true});
  Stream& s = device.stream();
  ParamStore params(device, config);
  test::set_hashed_weights(s, params);
  Decoder decoder(device, config, params);
  const DeviceBatch batch = test::hashed_batch(device, config.vocab, 0);
  Tensor loss = device.zeros({1});
  device.profile()->start(s);
  decoder.forward(s, batch);
  decoder.backward(s, batch, loss, {});
  std::vector<double> actual;
  for (const TimedCommand& command : device.profile()->take()) {
    if (command.name.starts_with("gemm_")) actual.push_back(command.work.flops);
  }
  std::vector<double> expected;
  for (const Product& p : training_products(config, batch.B, batch.T, Dtype::f32))
    expected.insert(expected.end(), p.count, p.shape.flops());
  std::sort(actual.begin(), actual.end());
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(actual, expected);
}

TEST(Products, HaveTheCostliestFirst) {
  const auto products = training_products(test::tiny_gpt2(), 4, 16, Dtype::f32);
  for (std::size_t i = 1; i < products.size(); ++i) {
    EXPECT_GE(products[i - 1].shape.flops() * static_cast<double>(products[i - 1].count),
              products[i].shape.flops() * static_cast<double>(products[i].count));
  }
}

TEST(Products, OfTheHeadAreThoseOfItsChunks) {
  ModelConfig config = test::tiny_gpt2();
  config.vocab = 65536;
  const std::size_t rows = op::head_chunk_rows(300, config.vocab, Dtype::f32);
  ASSERT_EQ(rows, 128u);
  const auto products = training_products(config, 3, 100, Dtype::f32);
  EXPECT_EQ(find(products, "head dW").shape,
            (GemmShape{Dtype::f32, Transpose::a, config.vocab, config.width, 128}));
  EXPECT_EQ(find(products, "head dW").count, 2u);
  EXPECT_EQ(find(products, "head's last chunk dX").shape,
            (GemmShape{Dtype::f32, Transpose::none, 44, config.width, config.vocab}));
}

}  // namespace
}  // namespace motley
