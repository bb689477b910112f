// Random tensors. Sizes: {size}.
#include <cmath>

#include "kernels/ops.h"
#include "tests/ops/op_case.h"

namespace motley::test {
namespace {

// Every word of the key and of the stream matters here.
const Random generator(0xFEDCBA9876543210u, Purpose::test, 0x0123456789ABCDEFu);
constexpr float stddev = 0.02f;

const std::vector<Sizes> edge_sizes = {{0}, {1}, {2}, {3}, {4}, {5}, {255}, {256}, {257}, {100003}};

Problem make_uniform(const Sizes& sizes) {
  Problem p;
  p.outputs = {{{sizes[0]}}};
  p.run = [](Stream& s, auto& out, const auto&) { op::random_uniform(s, out[0], generator); };
  p.reference = [](auto& out, const auto&) {
    for (std::size_t i = 0; i < out[0].values.size(); ++i) {
      out[0].values[i] = static_cast<double>(generator.uniform(i));
    }
  };
  p.depth = 0;
  p.bytes = 4 * static_cast<double>(sizes[0]);
  return p;
}

Problem make_normal(const Sizes& sizes) {
  Problem p = make_uniform(sizes);
  p.run = [](Stream& s, auto& out, const auto&) {
    op::random_normal(s, out[0], generator, stddev);
  };
  p.reference = [](auto& out, const auto&) {
    const double tau = 2 * std::acos(-1.0);
    for (std::size_t i = 0; i < out[0].values.size(); ++i) {
      const std::size_t pair = i / 2 * 2;
      const double u = 1 - static_cast<double>(generator.uniform(pair));
      const double angle = tau * static_cast<double>(generator.uniform(pair + 1));
      const double radius = static_cast<double>(stddev) * std::sqrt(-2 * std::log(u));
      out[0].values[i] = radius * (i % 2 == 0 ? std::cos(angle) : std::sin(angle));
    }
  };
  p.depth = 4;
  return p;
}

const Registered uniform({.name = "random_uniform",
                          .ops = {"random_uniform"},
                          .test_sizes = edge_sizes,
                          .oclgrind_sizes = {{1}, {259}},
                          .bench_sizes = {{1 << 20}},
                          .make = make_uniform});
const Registered normal({.name = "random_normal",
                         .ops = {"random_normal"},
                         .test_sizes = edge_sizes,
                         .oclgrind_sizes = {{1}, {259}},
                         .bench_sizes = {{1 << 20}},
                         .make = make_normal});

}  // namespace
}  // namespace motley::test
