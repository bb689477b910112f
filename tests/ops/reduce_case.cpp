// Sums, sums of squares, and the factor made of them.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/ops.h"
#include "tests/ops/op_case.h"

namespace motley::test {
namespace {

// Around vectors, groups of vectors, and chunks of 4096.
const std::vector<std::size_t> edges = {0,  1,   15,  16,   17,   63,   64,   65,
                                        97, 255, 256, 4095, 4096, 4097, 12289};

// A lane adds 64 numbers, a tail at most 63, then trees.
constexpr double chunk_depth = 160;

std::vector<Sizes> rows_of(const std::vector<std::size_t>& sizes, std::size_t second) {
  std::vector<Sizes> rows;
  rows.reserve(sizes.size());
  for (const std::size_t size : sizes) rows.push_back({size, second});
  return rows;
}

/// Sizes: {size, 1 to accumulate}.
Problem make_sum(const Sizes& sizes) {
  const auto into = sizes[1] == 1 ? op::Into::accumulate : op::Into::replace;
  Problem p;
  p.inputs = {random_tensor({sizes[0]}, 1)};
  p.outputs = {{{1}}};
  if (into == op::Into::accumulate) p.outputs = {random_tensor({1}, 2)};
  p.run = [into](Stream& s, auto& out, const auto& in) { op::sum(s, out[0], in[0], into); };
  p.reference = [](auto& out, const auto& in) {
    for (const double x : in[0].values) out[0].values[0] += x;
  };
  p.depth = chunk_depth;
  p.min_scale = 1 + std::sqrt(static_cast<double>(sizes[0]));
  p.flops = static_cast<double>(sizes[0]);
  p.bytes = 4 * static_cast<double>(sizes[0]);
  return p;
}

std::vector<Sizes> sum_sizes() {
  std::vector<Sizes> rows = rows_of(edges, 0);
  rows.push_back({257, 1});
  rows.push_back({100003, 1});
  rows.push_back({300007, 0});
  return rows;
}

const Registered sum({.name = "sum",
                      .ops = {"sum"},
                      .test_sizes = sum_sizes(),
                      .oclgrind_sizes = {{1, 0}, {4099, 1}},
                      .bench_sizes = {{1 << 20, 0}, {1 << 24, 0}},
                      .make = make_sum});

/// Sizes: {size, how many are not finite}.
Problem make_chunk_squares(const Sizes& sizes) {
  const std::size_t chunks =
      std::max<std::size_t>(1, (sizes[0] + op::squares_chunk - 1) / op::squares_chunk);
  Problem p;
  p.inputs = {random_tensor({sizes[0]}, 1)};
  const double infinity = std::numeric_limits<double>::infinity();
  const double bad[] = {infinity, -infinity, std::numeric_limits<double>::quiet_NaN()};
  // Spread over the whole, the last element among them.
  for (std::size_t i = 0; i < sizes[1]; ++i)
    p.inputs[0].values[sizes[0] - 1 - i * (sizes[0] / sizes[1])] = bad[i % 3];
  p.outputs = {{{chunks}}, {{chunks}}};
  p.run = [](Stream& s, auto& out, const auto& in) { op::chunk_squares(s, out[0], out[1], in[0]); };
  p.reference = [](auto& out, const auto& in) {
    for (std::size_t i = 0; i < in[0].values.size(); ++i) {
      const double x = in[0].values[i];
      out[0].values[i / op::squares_chunk] += x * x;
      out[1].values[i / op::squares_chunk] += std::isfinite(x) ? 0 : 1;
    }
  };
  p.depth = chunk_depth;
  p.flops = 2 * static_cast<double>(sizes[0]);
  p.bytes = 4 * static_cast<double>(sizes[0]);
  return p;
}

std::vector<Sizes> chunk_squares_sizes() {
  std::vector<Sizes> rows = rows_of(edges, 0);
  for (const Sizes& more : {Sizes{1, 1}, {2, 2}, {65, 1}, {4095, 2}, {4097, 3}, {100003, 7}})
    rows.push_back(more);
  return rows;
}

const Registered chunk_squares({.name = "chunk_squares",
                                .ops = {"chunk_squares"},
                                .test_sizes = chunk_squares_sizes(),
                                .oclgrind_sizes = {{1, 0}, {4099, 2}},
                                .bench_sizes = {{1 << 20, 0}, {1 << 24, 0}},
                                .make = make_chunk_squares});

enum class Clip : std::size_t { off, active, idle, non_finite, overflow, zero, num };

float max_norm_of(Clip clip) {
  if (clip == Clip::off) return 0;
  return clip == Clip::idle ? 1000.0f : 0.25f;
}

/// Sizes: {ranks, which Clip}.
Problem make_clip(const Sizes& sizes) {
  const auto clip = static_cast<Clip>(sizes[1]);
  constexpr double num_tokens = 3;
  const float max_norm = max_norm_of(clip);
  Problem p;
  p.inputs = {random_tensor({sizes[0], 2}, 1)};
  std::vector<double>& partials = p.inputs[0].values;
  for (std::size_t rank = 0; rank < sizes[0]; ++rank) {
    partials[2 * rank] = clip == Clip::zero ? 0 : 4 + partials[2 * rank];
    partials[2 * rank + 1] = clip == Clip::non_finite ? static_cast<double>(rank + 1) : 0;
  }
  if (clip == Clip::overflow) partials[0] = std::numeric_limits<double>::infinity();
  p.outputs = {{{op::control_size}}};
  p.outputs[0].values = {0, 0, 0, 0, 0, 0, static_cast<double>(static_cast<float>(1 / num_tokens)),
                         0};
  p.run = [=](Stream& s, auto& out, const auto& in) {
    op::clip_factor(s, out[0], in[0], max_norm);
  };
  p.reference = [=](auto& out, const auto& in) {
    double squares = 0;
    double bad = 0;
    for (std::size_t i = 0; i < in[0].values.size(); i += 2) {
      squares += in[0].values[i];
      bad += in[0].values[i + 1];
    }
    const double norm = std::sqrt(squares) / num_tokens;
    const double limit = static_cast<double>(max_norm);
    if (std::isinf(squares)) bad = std::max(bad, 1.0);
    const double factor = limit > 0 && norm > limit ? limit / norm : 1.0;
    out[0].values[0] = bad > 0 ? 0.0 : factor / num_tokens;
    out[0].values[1] = norm;
    out[0].values[2] = bad;
  };
  p.depth = 4 + static_cast<double>(sizes[0]);
  return p;
}

std::vector<Sizes> clip_sizes() {
  std::vector<Sizes> rows;
  for (const std::size_t ranks : {1u, 2u, 7u}) {
    for (std::size_t clip = 0; clip < static_cast<std::size_t>(Clip::num); ++clip) {
      rows.push_back({ranks, clip});
    }
  }
  return rows;
}

const Registered clip({.name = "clip_factor",
                       .ops = {"clip_factor"},
                       .test_sizes = clip_sizes(),
                       .oclgrind_sizes = {{2, 1}},
                       .bench_sizes = {{8, 1}},
                       .make = make_clip});

}  // namespace
}  // namespace motley::test
