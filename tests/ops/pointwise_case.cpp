// Addition and conversion, both to the bit.
#include <cmath>
#include <limits>

#include "kernels/ops.h"
#include "tests/ops/op_case.h"

namespace motley::test {
namespace {

/// Sizes: {size}.
Problem make_add(const Sizes& sizes) {
  Problem p;
  p.inputs = {random_activation({sizes[0]}, 1)};
  p.outputs = {random_activation({sizes[0]}, 2)};
  p.run = [](Stream& s, auto& out, const auto& in) { op::add(s, out[0], in[0]); };
  p.reference = [](auto& out, const auto& in) {
    for (std::size_t i = 0; i < in[0].values.size(); ++i) out[0].values[i] += in[0].values[i];
  };
  p.depth = 0;
  p.flops = static_cast<double>(sizes[0]);
  p.bytes = 12 * static_cast<double>(sizes[0]);
  return p;
}

const Registered add({.name = "add",
                      .ops = {"add"},
                      .test_sizes = {{0}, {1}, {15}, {16}, {17}, {255}, {256}, {257}, {100003}},
                      .oclgrind_sizes = {{1}, {257}},
                      .bench_sizes = {{1 << 20}, {1 << 24}},
                      .make = make_add,
                      .has_activations = true});

/// What a binary format can hold.
struct Format {
  Dtype dtype;
  int digits;        // of the significand, the hidden one included
  int min_exponent;  // the smallest step between neighbours is 2^min_exponent
  double max;
};

const Format& format_of(std::size_t index) {
  static const Format formats[] = {
      {Dtype::f32, 24, -149, static_cast<double>(std::numeric_limits<float>::max())},
      {Dtype::f16, 11, -24, 65504.0},
      {Dtype::bf16, 8, -133, std::ldexp(255.0, 120)}};
  return formats[index];
}

/// The nearest number of the format, ties to even, by the definition.
double rounded(double value, const Format& format) {
  if (!std::isfinite(value) || value == 0) return value;
  int exponent = 0;
  std::frexp(value, &exponent);
  const double step = std::ldexp(1.0, std::max(exponent - format.digits, format.min_exponent));
  const double nearest = std::nearbyint(value / step) * step;
  if (std::abs(nearest) <= format.max) return std::copysign(nearest, value);
  return std::copysign(std::numeric_limits<double>::infinity(), value);
}

/// Zeros, infinities, NaN, and for every format its limits, denormals, ties and their neighbours.
std::vector<double> special_values() {
  const double infinity = std::numeric_limits<double>::infinity();
  std::vector<double> values = {0.0, 1.0, infinity, std::numeric_limits<double>::quiet_NaN()};
  for (std::size_t f = 0; f < 3; ++f) {
    const Format& format = format_of(f);
    const double smallest = std::ldexp(1.0, format.min_exponent);
    const double tie = std::ldexp(1.0, -format.digits);
    for (const double v : {smallest, smallest / 2, smallest * 1.5, smallest * 0.75, smallest * 3,
                           std::ldexp(smallest, format.digits - 1), format.max,
                           format.max * (1 + tie / 2), format.max * (1 + tie), format.max * 1.01}) {
      values.push_back(v);
    }
    for (const double odd : {1.0, 3.0, 5.0}) {
      values.push_back(1 + odd * tie);
      values.push_back(1 + odd * tie + std::ldexp(1.0, -23));
      values.push_back(1 + odd * tie - std::ldexp(1.0, -23));
      values.push_back((odd + 0.5) * smallest * 2);
    }
  }
  for (std::size_t i = values.size(); i > 0; --i) values.push_back(-values[i - 1]);
  return values;
}

/// Sizes: {size, format read, format written}, formats as in format_of().
Problem make_cast(const Sizes& sizes) {
  const std::size_t size = sizes[0];
  const Format& from = format_of(sizes[1]);
  const Format& to = format_of(sizes[2]);
  HostTensor x{{size}, from.dtype, special_values()};
  const std::vector<double> fractions = random_values(size, 3);
  const std::vector<double> exponents = random_values(size, 4, 40.0);
  for (std::size_t i = x.values.size(); i < size; ++i) {
    x.values.push_back(std::ldexp(fractions[i], static_cast<int>(exponents[i])));
  }
  x.values.resize(size);
  for (double& v : x.values) v = rounded(v, from);
  Problem p;
  p.inputs = {std::move(x)};
  p.outputs = {{{size}, to.dtype}};
  p.run = [](Stream& s, auto& out, const auto& in) { op::cast(s, out[0], in[0]); };
  p.reference = [&to](auto& out, const auto& in) {
    for (std::size_t i = 0; i < in[0].values.size(); ++i) {
      out[0].values[i] = rounded(in[0].values[i], to);
    }
  };
  p.depth = 0;
  p.bytes = static_cast<double>(size * (size_of(from.dtype) + size_of(to.dtype)));
  return p;
}

std::vector<Sizes> all_pairs(std::initializer_list<std::size_t> sizes) {
  std::vector<Sizes> rows;
  for (const std::size_t size : sizes) {
    for (std::size_t from = 0; from < 3; ++from) {
      for (std::size_t to = 0; to < 3; ++to) rows.push_back({size, from, to});
    }
  }
  return rows;
}

const Registered cast({.name = "cast",
                       .ops = {"cast"},
                       .test_sizes = all_pairs({0, 1, 257, 10007}),
                       .oclgrind_sizes = all_pairs({3}),
                       .bench_sizes = {{1 << 24, 0, 1}, {1 << 24, 0, 2}, {1 << 24, 2, 0}},
                       .make = make_cast});

}  // namespace
}  // namespace motley::test
