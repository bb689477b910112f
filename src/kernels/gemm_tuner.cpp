#include "kernels/gemm_tuner.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "tensor/clock.h"
#include "tensor/error.h"
#include "tensor/log.h"
#include "tensor/random.h"

namespace motley::op {
namespace {

// A measurement runs the product as often as it takes to last so long.
constexpr double measured_s = 3e-3;
constexpr double most_repeats = 1000;
// Of the check: beside the edges of tiles, blocks of k and pairs.
constexpr std::size_t check_beside = 3;
constexpr std::size_t check_k_beside = 133;
constexpr std::size_t check_default_tile = 64;

/// The matrices of a product as a model has them: activations and weights; of bf16 activations,
/// weights and their gradients stay f32.
struct Matrices {
  Tensor c;
  Tensor a;
  Tensor b;
};

/// `values` where they are to be of another dtype.
Tensor stored_as(Stream& s, Tensor values, Dtype dtype) {
  if (values.dtype() == dtype) return values;
  Tensor stored = s.device().tensor(values.shape(), dtype);
  cast(s, stored, values);
  return stored;
}

Tensor random_tensor(Stream& s, const Shape& shape, Dtype dtype, std::uint64_t salt) {
  Tensor values = s.device().tensor(shape);
  random_uniform(s, values, Random(1, Purpose::test, salt));
  return stored_as(s, std::move(values), dtype);
}

Dtype dtype_of_b(const GemmShape& p) {
  return p.transpose == Transpose::a ? p.dtype : weight_dtype(p.dtype);
}

/// Integers from -8 to 8.
std::vector<float> integers(const Shape& shape, std::uint64_t salt) {
  const Random random(1, Purpose::test, salt);
  std::vector<float> values(shape.size());
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(static_cast<int>(random.word(i) % 17) - 8);
  return values;
}

Tensor tensor_of(Stream& s, const Shape& shape, Dtype dtype, const std::vector<float>& values) {
  Tensor tensor = s.device().tensor(shape);
  s.write<float>(tensor, values);
  return stored_as(s, std::move(tensor), dtype);
}

std::vector<float> plain_product(const GemmShape& p, const std::vector<float>& a,
                                 const std::vector<float>& b) {
  const bool of_a = p.transpose == Transpose::a;
  const bool of_b = p.transpose == Transpose::b;
  std::vector<float> c(p.M * p.N);
  for (std::size_t i = 0; i < p.M; ++i) {
    for (std::size_t j = 0; j < p.N; ++j) {
      float sum = 0;
      for (std::size_t k = 0; k < p.K; ++k)
        sum += a[of_a ? k * p.M + i : i * p.K + k] * b[of_b ? j * p.K + k : k * p.N + j];
      c[i * p.N + j] = sum;
    }
  }
  return c;
}

/// Puts the device's table back when it goes.
class TableGuard {
 public:
  explicit TableGuard(Device& device) : device_(device), plans_(device.gemm_plans()) {}
  TableGuard(const TableGuard&) = delete;
  TableGuard& operator=(const TableGuard&) = delete;
  ~TableGuard() { device_.set_gemm_plans(std::move(plans_)); }

 private:
  Device& device_;
  GemmPlans plans_;
};

/// Times one product with any plan.
class ProductTimer {
 public:
  ProductTimer(Stream& s, const GemmShape& shape)
      : s_(s),
        shape_(shape),
        matrices_{s.device().tensor({shape.M, shape.N},
                                    shape.transpose == Transpose::a ? Dtype::f32 : shape.dtype),
                  random_tensor(s, shape.a_shape(), shape.dtype, 1),
                  random_tensor(s, shape.b_shape(), dtype_of_b(shape), 2)} {}

  /// As MeasurePlan.
  std::optional<double> seconds(const GemmPlan& plan) {
    if (!is_fit(plan)) return std::nullopt;
    s_.device().set_gemm_plans({{shape_, plan}});
    if (repeats_ == 0) {
      run(1);  // builds the kernels
      repeats_ = static_cast<std::size_t>(
          std::clamp(std::ceil(measured_s / std::max(run(1), 1e-9)), 1.0, most_repeats));
    }
    return run(repeats_) / static_cast<double>(repeats_);
  }

 private:
  /// Whether the plan compiles and computes what it should; found out once for each.
  bool is_fit(const GemmPlan& plan) {
    const auto known = std::find_if(checked_.begin(), checked_.end(),
                                    [&](const auto& entry) { return entry.first == plan; });
    if (known != checked_.end()) return known->second;
    bool fit = false;
    try {
      fit = is_right(s_, shape_, plan);
      if (!fit)
        log::warn("{}: tiles of {} x {} and blocks of {} multiply wrongly and are not used",
                  s_.device().info().name, plan.tile_rows, plan.tile_columns, plan.k_block);
    } catch (const DeviceError& e) {
      log::info("{}: tiles of {} x {} are not used: {}", s_.device().info().name, plan.tile_rows,
                plan.tile_columns, e.what());
    }
    checked_.emplace_back(plan, fit);
    return fit;
  }

  double run(std::size_t times) {
    s_.finish();
    const auto start = Clock::now();
    for (std::size_t i = 0; i < times; ++i)
      matmul(s_, matrices_.c, matrices_.a, matrices_.b, shape_.transpose, Into::replace);
    s_.finish();
    return seconds_since(start);
  }

  Stream& s_;
  GemmShape shape_;
  Matrices matrices_;
  std::size_t repeats_ = 0;
  std::vector<std::pair<GemmPlan, bool>> checked_;
};

}  // namespace

bool is_right(Stream& s, const GemmShape& shape, const GemmPlan& plan) {
  const TableGuard guard(s.device());
  GemmShape small = shape;
  const auto tiles = [](std::size_t tile) {
    return 2 * (tile == 0 ? check_default_tile : tile) + check_beside;
  };
  small.M = std::min(shape.M, tiles(plan.tile_rows));
  small.N = std::min(shape.N, tiles(plan.tile_columns));
  small.K = std::min(shape.K, plan.k_block + check_k_beside);
  s.device().set_gemm_plans({{small, plan}});
  const std::vector<float> a = integers(small.a_shape(), 1);
  const std::vector<float> b = integers(small.b_shape(), 2);
  const Tensor device_a = tensor_of(s, small.a_shape(), small.dtype, a);
  const Tensor device_b = tensor_of(s, small.b_shape(), dtype_of_b(small), b);
  Tensor c = s.device().tensor({small.M, small.N});
  matmul(s, c, device_a, device_b, small.transpose, Into::replace);
  std::vector<float> values(c.size());
  s.read<float>(values, c);
  return values == plain_product(small, a, b);
}

std::vector<TunedProduct> tune_products(Stream& s, std::span<const GemmShape> shapes,
                                        const TunerSettings& settings) {
  const TableGuard guard(s.device());
  const auto start = Clock::now();
  std::vector<TunedProduct> tuned;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const double spent = seconds_since(start);
    const double share = (settings.budget_s - spent) / static_cast<double>(shapes.size() - i);
    const double end = spent + share;
    const auto out_of_time = [&] { return seconds_since(start) >= end; };
    if (out_of_time()) break;
    ProductTimer timer(s, shapes[i]);
    const auto found = search_plan(
        s.device(), shapes[i], [&](const GemmPlan& plan) { return timer.seconds(plan); },
        out_of_time);
    if (!found) continue;
    tuned.push_back({shapes[i], *found});
  }
  return tuned;
}

}  // namespace motley::op
