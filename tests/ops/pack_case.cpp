// The last pass over gradients: sums, count and rounding, all to the bit.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/ops.h"
#include "tensor/half.h"
#include "tests/ops/op_case.h"

namespace motley::test {
namespace {

/// What rounding to bf16 can go wrong with, largest magnitudes and smallest, ties and their
/// neighbours; what is not finite; and denormals, if wanted: a device may count those as zero when
/// it adds them.
std::vector<double> special_values(bool with_denormals) {
  const double infinity = std::numeric_limits<double>::infinity();
  const double largest = static_cast<double>(std::numeric_limits<float>::max());
  const double tie = std::ldexp(1.0, -8);
  const double step = std::ldexp(1.0, -23);
  std::vector<double> values = {0.0, infinity, std::numeric_limits<double>::quiet_NaN(), largest,
                                std::ldexp(1, -126)};
  for (const double odd : {1.0, 3.0, 5.0}) {
    for (const double beside : {-step, 0.0, step}) values.push_back(1 + odd * tie + beside);
  }
  if (with_denormals) {
    for (const double bits : {1.0, 3.0, 32767.0, 32768.0, 32769.0, 98304.0, 8388607.0})
      values.push_back(std::ldexp(bits, -149));
  }
  for (std::size_t i = values.size(); i > 0; --i) values.push_back(-values[i - 1]);
  return values;
}

/// Sizes: {size, addends, 1 to round as well}.
Problem make_pack(const Sizes& sizes) {
  const std::size_t size = sizes[0];
  const std::size_t num_addends = sizes[1];
  const bool rounds = sizes[2] == 1;
  HostTensor y = random_tensor({size}, 1);
  // From the end, so that tails have some as well.
  const std::vector<double> special = special_values(num_addends == 0);
  for (std::size_t i = 0; i < std::min(size, special.size()); ++i)
    y.values[size - 1 - i * (size / std::min(size, special.size()))] = special[i];
  Problem p;
  for (std::size_t i = 0; i < num_addends; ++i) {
    p.inputs.push_back(random_tensor({size}, 2 + i));
    // A sum that is not finite though its terms are, and one that is because of an addend.
    if (size > 40) p.inputs[i].values[40] = static_cast<double>(std::numeric_limits<float>::max());
    if (size > 41 && i == 1) p.inputs[i].values[41] = -std::numeric_limits<double>::infinity();
  }
  p.outputs = {y, {{1}, Dtype::i32, {5}}};
  if (rounds) p.outputs.push_back({{size}, Dtype::bf16});
  p.run = [rounds](Stream& s, auto& out, const auto& in) {
    op::pack(s, {out[0], out[1], rounds ? &out[2] : nullptr}, in);
  };
  p.reference = [rounds](auto& out, const auto& in) {
    for (std::size_t i = 0; i < out[0].values.size(); ++i) {
      double& sum = out[0].values[i];
      // Rounding a sum of two floats first to double and then to float is rounding it once.
      for (const HostTensor& addend : in)
        sum = static_cast<double>(static_cast<float>(sum + addend.values[i]));
      out[1].values[0] += std::isfinite(sum) ? 0 : 1;
      if (rounds)
        out[2].values[i] =
            static_cast<double>(f32_from_bf16(bf16_from_f32(static_cast<float>(sum))));
    }
  };
  p.depth = 0;
  const auto n = static_cast<double>(size);
  const double written = (num_addends > 0 ? 4.0 : 0.0) + (rounds ? 2.0 : 0.0);
  p.flops = n * static_cast<double>(num_addends);
  p.bytes = n * (4.0 * static_cast<double>(1 + num_addends) + written);
  return p;
}

/// Around vectors and chunks; as many addends as one pass takes, and more.
std::vector<Sizes> pack_sizes() {
  std::vector<Sizes> rows;
  for (const std::size_t size :
       {0u, 1u, 15u, 16u, 17u, 255u, 257u, 4095u, 4096u, 4097u, 12289u, 100003u}) {
    for (const std::size_t addends : {0u, 1u, 2u, 3u, 5u}) {
      for (const std::size_t rounds : {0u, 1u}) rows.push_back({size, addends, rounds});
    }
  }
  return rows;
}

const Registered pack({.name = "pack",
                       .ops = {"pack"},
                       .test_sizes = pack_sizes(),
                       .oclgrind_sizes = {{1, 0, 0}, {19, 3, 1}, {4099, 1, 1}},
                       .bench_sizes = {{1 << 20, 0, 0},
                                       {1 << 24, 0, 0},
                                       {1 << 24, 1, 0},
                                       {1 << 24, 3, 0},
                                       {1 << 24, 1, 1}},
                       .make = make_pack});

}  // namespace
}  // namespace motley::test
