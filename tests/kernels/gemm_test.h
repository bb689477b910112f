// Products of small integers, which every right way to multiply computes without rounding:
// providers must agree in every bit.
#pragma once

#include <string>
#include <vector>

#include "kernels/gemm.h"
#include "tensor/device.h"

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

/// c as `provider` computes it on `device`.
inline std::vector<float> multiply(Device& device, const op::GemmProvider& provider,
                                   const ExactProduct& p) {
  Stream& s = device.stream();
  const bool of_a = p.transpose == op::Transpose::a;
  const bool of_b = p.transpose == op::Transpose::b;
  Tensor a = device.tensor(of_a ? Shape{p.K, p.M} : Shape{p.M, p.K});
  Tensor b = device.tensor(of_b ? Shape{p.N, p.K} : Shape{p.K, p.N});
  Tensor bias = device.tensor({p.N});
  Tensor c = device.tensor({p.M, p.N});
  s.write<float>(a, small_integers(a.size(), 1));
  s.write<float>(b, small_integers(b.size(), 2));
  s.write<float>(bias, small_integers(bias.size(), 3));
  if (p.into == op::Into::accumulate) s.write<float>(c, small_integers(c.size(), 4));
  provider.run(s, {.c = c,
                   .a = a,
                   .b = b,
                   .bias = p.has_bias ? &bias : nullptr,
                   .M = p.M,
                   .N = p.N,
                   .K = p.K,
                   .transpose = p.transpose,
                   .into = p.into});
  std::vector<float> values(c.size());
  s.read<float>(values, c);
  return values;
}

/// A device whose fresh memory is NaN, so that a read before a write shows.
inline Device open_poisoned(KernelFamily family) {
  return Device(list_devices().at(0), {.family = family, .fresh_memory = FreshMemory::poison});
}

}  // namespace motley
