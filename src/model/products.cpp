#include "model/products.h"

#include <algorithm>

#include "kernels/ops.h"

namespace motley {
namespace {

class ProductList {
 public:
  explicit ProductList(Dtype dtype) : dtype_(dtype) {}

  /// y [N, O] = x [N, I] w^T and its gradients, `count` times.
  void linear(const std::string& name, std::size_t N, std::size_t O, std::size_t I,
              std::size_t count) {
    add(name + " forward", {dtype_, Transpose::b, N, O, I}, count);
    add(name + " dX", {dtype_, Transpose::none, N, I, O}, count);
    add(name + " dW", {dtype_, Transpose::a, O, I, N}, count);
  }

  std::vector<Product> sorted() && {
    const auto cost = [](const Product& p) {
      return p.shape.flops() * static_cast<double>(p.count);
    };
    std::stable_sort(list_.begin(), list_.end(),
                     [&](const Product& a, const Product& b) { return cost(a) > cost(b); });
    return std::move(list_);
  }

 private:
  void add(const std::string& name, const GemmShape& shape, std::size_t count) {
    const auto same = std::find_if(list_.begin(), list_.end(),
                                   [&](const Product& p) { return p.shape == shape; });
    if (same == list_.end()) {
      list_.push_back({name, shape, count});
      return;
    }
    same->name += ", " + name;
    same->count += count;
  }

  Dtype dtype_;
  std::vector<Product> list_;
};

}  // namespace

std::vector<Product> training_products(const ModelConfig& c, std::size_t B, std::size_t T,
                                       Dtype dtype) {
  const std::size_t N = B * T;
  const bool gated = c.traits().mlp == MlpKind::swiglu;
  ProductList list(dtype);
  list.linear("qkv", N, c.qkv_width(), c.width, c.layers);
  list.linear("out", N, c.width, c.heads * c.head_dim, c.layers);
  list.linear("up", N, gated ? 2 * c.mlp_width : c.mlp_width, c.width, c.layers);
  list.linear("down", N, c.width, c.mlp_width, c.layers);
  const std::size_t rows = op::head_chunk_rows(N, c.vocab, dtype);
  const std::size_t chunks = N / rows;
  list.linear("head", rows, c.vocab, c.width, chunks);
  if (N % rows != 0) list.linear("head's last chunk", N % rows, c.vocab, c.width, 1);
  return std::move(list).sorted();
}

}  // namespace motley
