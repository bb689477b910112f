// RMSNorm and LayerNorm. Sizes: {N, C}.
#include <cmath>

#include "kernels/ops.h"
#include "tests/ops/op_case.h"

namespace motley::test {
namespace {

constexpr float epsilon = 1e-5f;

const std::vector<Sizes> edge_sizes = {{0, 8},  {1, 1},  {2, 2},  {3, 5},   {2, 15},  {3, 16},
                                       {5, 17}, {4, 63}, {7, 64}, {13, 65}, {67, 31}, {129, 257}};

Problem make_rms_norm(const Sizes& sizes) {
  const std::size_t N = sizes[0];
  const std::size_t C = sizes[1];
  Problem p;
  p.inputs = {random_tensor({N, C}, 1), random_tensor({C}, 2, 2.0)};
  p.outputs = {{{N, C}}, {{N}}};
  p.run = [](Stream& s, std::vector<Tensor>& out, const std::vector<Tensor>& in) {
    op::rms_norm(s, out[0], out[1], in[0], in[1], epsilon);
  };
  p.reference = [N, C](std::vector<HostTensor>& out, const std::vector<HostTensor>& in) {
    for (std::size_t n = 0; n < N; ++n) {
      const double* x = &in[0].values[n * C];
      double squares = 0;
      for (std::size_t c = 0; c < C; ++c) squares += x[c] * x[c];
      const double rstd =
          1 / std::sqrt(squares / static_cast<double>(C) + static_cast<double>(epsilon));
      out[1].values[n] = rstd;
      for (std::size_t c = 0; c < C; ++c) out[0].values[n * C + c] = x[c] * rstd * in[1].values[c];
    }
  };
  p.depth = static_cast<double>(C) / 16 + 8;
  p.flops = 4.0 * static_cast<double>(N * C);
  p.bytes = 8.0 * static_cast<double>(N * C);
  return p;
}

const Registered rms_norm({.name = "rms_norm",
                           .ops = {"rms_norm"},
                           .test_sizes = edge_sizes,
                           .oclgrind_sizes = {{2, 17}, {3, 5}},
                           .bench_sizes = {{2048, 384}, {2048, 768}},
                           .make = make_rms_norm});

}  // namespace
}  // namespace motley::test
