// Matrix multiplication. Sizes: {M, N, K, transpose (0 none, 1 a, 2 b), 1 to add to what is there}.
#include <cmath>

#include "kernels/ops.h"
#include "tests/ops/host_matrix.h"

namespace motley::test {
namespace {

Problem make_matmul(const Sizes& sizes) {
  const std::size_t M = sizes[0];
  const std::size_t N = sizes[1];
  const std::size_t K = sizes[2];
  const auto transpose = static_cast<op::Transpose>(sizes[3]);
  const bool accumulates = sizes[4] != 0;
  const bool of_a = transpose == op::Transpose::a;
  const bool of_b = transpose == op::Transpose::b;
  Problem p;
  // As a model multiplies: activations by a weight, or, for a weight's gradient, by activations.
  p.inputs = {random_activation(of_a ? Shape{K, M} : Shape{M, K}, 1),
              random_tensor(of_b ? Shape{N, K} : Shape{K, N}, 2)};
  p.inputs[1].activation = of_a;
  p.outputs = {activation({M, N})};
  if (accumulates) p.outputs[0] = random_activation({M, N}, 3);
  p.outputs[0].activation = !of_a;
  const op::Into into = accumulates ? op::Into::accumulate : op::Into::replace;
  p.run = [=](Stream& s, std::vector<Tensor>& out, const std::vector<Tensor>& in) {
    op::matmul(s, out[0], in[0], in[1], transpose, into);
  };
  p.reference = [=](std::vector<HostTensor>& out, const std::vector<HostTensor>& in) {
    const RowMajor a = of_a ? RowMajor(matrix(in[0]).transpose()) : RowMajor(matrix(in[0]));
    const RowMajor b = of_b ? RowMajor(matrix(in[1]).transpose()) : RowMajor(matrix(in[1]));
    matrix(out[0]) += a * b;
  };
  p.depth = static_cast<double>(K + 1);
  // The terms are products of two numbers uniform in [-1, 1], of variance 1/9.
  p.min_scale = std::sqrt(static_cast<double>(K) / 9);
  p.flops = 2.0 * static_cast<double>(M * N * K);
  p.bytes = 4.0 * static_cast<double>(M * K + K * N + M * N);
  return p;
}

// Around the edges of every tile (6 and 12 rows; 16, 32 and 64 columns; 64 by 64), of the blocks of
// k (16, 64, 1024 and, of bf16, 2048), of the packed blocks of columns (4096) and of rows (of bf16
// and 2048 k, 2048); primes; empty in each direction.
const Registered matmul(
    {.name = "matmul",
     .ops = {"matmul"},
     .test_sizes =
         {{0, 3, 4, 0, 0},       {3, 0, 4, 1, 0},       {3, 4, 0, 2, 0},     {3, 4, 0, 0, 1},
          {3, 4, 0, 1, 0},       {1, 1, 1, 0, 0},       {1, 7, 3, 2, 1},     {7, 1, 2, 1, 1},
          {11, 31, 13, 0, 0},    {12, 32, 16, 1, 0},    {13, 33, 17, 2, 0},  {6, 16, 15, 0, 1},
          {5, 15, 65, 1, 1},     {7, 17, 64, 2, 1},     {63, 65, 63, 0, 0},  {64, 64, 64, 1, 0},
          {65, 63, 65, 2, 0},    {25, 97, 31, 1, 0},    {97, 48, 127, 2, 0}, {37, 41, 1023, 0, 1},
          {29, 53, 1025, 2, 0},  {31, 40, 1024, 1, 1},  {5, 8193, 3, 0, 0},  {257, 384, 193, 2, 0},
          {7, 19, 2051, 0, 1},   {5, 33, 2050, 1, 1},   {3, 4099, 66, 2, 0}, {6, 259, 1027, 0, 1},
          {13, 263, 2053, 2, 0}, {25, 289, 1041, 2, 1}, {389, 37, 65, 1, 1}, {1157, 33, 1030, 1, 0},
          {5, 4099, 66, 1, 0},   {2051, 17, 2050, 1, 1}},
     .oclgrind_sizes = {{13, 33, 5, 0, 0}, {13, 17, 18, 1, 1}, {5, 35, 17, 2, 0}, {2, 3, 0, 0, 0}},
     .bench_sizes = {{2048, 1536, 384, 2, 0},
                     {2048, 1536, 384, 0, 0},
                     {1536, 384, 2048, 1, 1},
                     {2048, 384, 384, 2, 0},
                     {2048, 384, 1536, 2, 0},
                     {1024, 8192, 384, 2, 0},
                     {1024, 384, 8192, 0, 0},
                     {8192, 384, 1024, 1, 1}},
     .make = make_matmul,
     .has_activations = true});

}  // namespace
}  // namespace motley::test
