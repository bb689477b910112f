// Products of small integers, which every right way to multiply computes without rounding:
// providers must agree in every bit.
#pragma once

#include <string>
#include <vector>

#include "kernels/gemm.h"
#include "tensor/device.h"
#include "tensor/half.h"

namespace motley {

/// A product and what it should be.
struct ExactProduct {
  std::size_t M;
  std::size_t N;
  std::size_t K;
  op::Transpose transpose;
  op::Into into;
  bool has_bias;
};

inline std::string to_string(const ExactProduct& p) {
  return fmt::format(
      "M {} N {} K {}, transpose {}, {}, {} bias", p.M, p.N, p.K, static_cast<int>(p.transpose),
      p.into == op::Into::accumulate ? "added" : "replaced", p.has_bias ? "with" : "without");
}

/// Integers from -8 to 8 that depend on `salt`.
inline std::vector<float> small_integers(std::size_t size, std::uint64_t salt) {
  const Random random(1, Purpose::test, salt);
  std::vector<float> values(size);
  for (std::size_t i = 0; i < size; ++i)
    values[i] = static_cast<float>(static_cast<int>(random.word(i) % 17) - 8);
  return values;
}

/// The dtypes of a product's matrices.
struct ProductDtypes {
  Dtype a = Dtype::f32;
  Dtype b = Dtype::f32;
  Dtype c = Dtype::f32;
};

/// A tensor of this dtype with small integers, which each dtype holds exactly.
inline Tensor integers(Device& device, const Shape& shape, Dtype dtype, std::uint64_t salt) {
  Tensor values = device.tensor(shape);
  device.stream().write<float>(values, small_integers(values.size(), salt));
  Tensor tensor = device.tensor(shape, dtype);
  op::cast(device.stream(), tensor, values);
  return tensor;
}

/// c as `run(stream, problem)` computes it on `device`, as floats.
template <class Run>
std::vector<float> multiply_by(Device& device, Run&& run, const ExactProduct& p,
                               const ProductDtypes& dtypes = {}) {
  Stream& s = device.stream();
  const bool of_a = p.transpose == op::Transpose::a;
  const bool of_b = p.transpose == op::Transpose::b;
  const Tensor a = integers(device, of_a ? Shape{p.K, p.M} : Shape{p.M, p.K}, dtypes.a, 1);
  const Tensor b = integers(device, of_b ? Shape{p.N, p.K} : Shape{p.K, p.N}, dtypes.b, 2);
  const Tensor bias = integers(device, {p.N}, Dtype::f32, 3);
  Tensor c = device.tensor({p.M, p.N}, dtypes.c);
  if (p.into == op::Into::accumulate) c = integers(device, c.shape(), dtypes.c, 4);
  const op::GemmProblem problem{.c = c,
                                .a = a,
                                .b = b,
                                .bias = p.has_bias ? &bias : nullptr,
                                .M = p.M,
                                .N = p.N,
                                .K = p.K,
                                .transpose = p.transpose,
                                .into = p.into};
  run(s, problem);
  Tensor wide = device.tensor(c.shape());
  op::cast(s, wide, c);
  std::vector<float> values(wide.size());
  s.read<float>(values, wide);
  return values;
}

inline std::vector<float> multiply(Device& device, const op::GemmProvider& provider,
                                   const ExactProduct& p, const ProductDtypes& dtypes = {}) {
  const auto run = [&](Stream& s, const op::GemmProblem& problem) { provider.run(s, problem); };
  return multiply_by(device, run, p, dtypes);
}

/// What c should be, computed plainly on the host.
inline std::vector<float> expected_product(const ExactProduct& p, Dtype dtype = Dtype::f32) {
  const std::vector<float> a = small_integers(p.M * p.K, 1);
  const std::vector<float> b = small_integers(p.K * p.N, 2);
  const std::vector<float> bias = small_integers(p.N, 3);
  const std::vector<float> before = small_integers(p.M * p.N, 4);
  const bool of_a = p.transpose == op::Transpose::a;
  const bool of_b = p.transpose == op::Transpose::b;
  std::vector<float> c(p.M * p.N);
  for (std::size_t m = 0; m < p.M; ++m) {
    for (std::size_t n = 0; n < p.N; ++n) {
      float sum = p.has_bias ? bias[n] : 0;
      if (p.into == op::Into::accumulate) sum += before[m * p.N + n];
      for (std::size_t k = 0; k < p.K; ++k)
        sum += a[of_a ? k * p.M + m : m * p.K + k] * b[of_b ? n * p.K + k : k * p.N + n];
      c[m * p.N + n] = dtype == Dtype::bf16  ? f32_from_bf16(bf16_from_f32(sum))
                       : dtype == Dtype::f16 ? f32_from_f16(f16_from_f32(sum))
                                             : sum;
    }
  }
  return c;
}

/// A device whose fresh memory is NaN, so that a read before a write shows.
inline Device open_poisoned(KernelFamily family) {
  return Device(list_devices().at(0), {.family = family, .fresh_memory = FreshMemory::poison});
}

}  // namespace motley
