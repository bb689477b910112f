#include "bench/products.h"

#include <algorithm>

namespace motley::bench {
namespace {

// As in cross_entropy.cpp.
constexpr std::size_t chunk_bytes = std::size_t{32} << 20;
constexpr std::size_t min_chunk_rows = 64;

}  // namespace

std::vector<Product> products_of(const Workload& workload, Dtype dtype) {
  const ModelConfig& model = workload.model;
  const std::size_t tokens = workload.B * workload.T;
  std::vector<Product> products;
  const auto add = [&](const char* layer, std::size_t N, std::size_t O, std::size_t I,
                       std::size_t count) {
    products.push_back({layer, "NT", N, O, I, count});
    products.push_back({layer, "NN", N, I, O, count});
    products.push_back({layer, "TN", O, I, N, count});
  };
  const std::size_t C = model.width;
  const std::size_t gates = model.family == Family::gpt2 ? 1 : 2;
  add("attn.qkv", tokens, model.qkv_width(), C, model.layers);
  add("attn.out", tokens, C, model.heads * model.head_dim, model.layers);
  add("mlp.up", tokens, gates * model.mlp_width, C, model.layers);
  add("mlp.down", tokens, C, model.mlp_width, model.layers);
  const std::size_t rows =
      chunk_bytes / size_of(dtype) / model.vocab / min_chunk_rows * min_chunk_rows;
  const std::size_t chunk = std::min(tokens, std::max(rows, min_chunk_rows));
  add("head", chunk, model.vocab, C, (tokens + chunk - 1) / chunk);
  return products;
}

}  // namespace motley::bench
