// Token embeddings, sizes {N, V, C}, and position embeddings, sizes {B, T, C}.
#include <algorithm>
#include <limits>

#include "kernels/ops.h"
#include "kernels/token_index.h"
#include "tests/ops/op_case.h"

namespace motley::test {
namespace {

/// The inputs of embedding and its backward: table, tokens, and the index of the tokens.
std::vector<HostTensor> embedding_inputs(const HostTensor& table, const HostTensor& tokens) {
  std::vector<std::int32_t> values;
  for (const double token : tokens.values) values.push_back(static_cast<std::int32_t>(token));
  const HostTokenIndex index = index_tokens(values);
  const auto tensor_of = [](const std::vector<std::int32_t>& list) {
    return HostTensor{{list.size()}, Dtype::i32, {list.begin(), list.end()}};
  };
  return {table, tokens, tensor_of(index.rows), tensor_of(index.starts),
          tensor_of(index.positions)};
}

void embedding_reference(std::vector<HostTensor>& out, const std::vector<HostTensor>& in) {
  const std::size_t C = in[0].shape[1];
  const auto V = static_cast<double>(in[0].shape[0]);
  for (std::size_t i = 0; i < out[0].values.size(); ++i) {
    const double token = in[1].values[i / C];
    const bool known = token >= 0 && token < V;
    out[0].values[i] = known ? in[0].values[static_cast<std::size_t>(token) * C + i % C]
                             : std::numeric_limits<double>::quiet_NaN();
  }
}

void run_embedding(Stream& s, std::vector<Tensor>& out, const std::vector<Tensor>& in) {
  op::embedding(s, out[0], in[1], in[0]);
}

void run_embedding_backward(Stream& s, std::vector<Tensor>& gradients, const Tensor& dy,
                            const std::vector<Tensor>&, const std::vector<Tensor>& in) {
  op::embedding_backward(s, gradients[0], dy, {in[2], in[3], in[4]});
}

Problem make_embedding(const Sizes& sizes) {
  const std::size_t N = sizes[0];
  const std::size_t V = sizes[1];
  const std::size_t C = sizes[2];
  Problem p;
  p.inputs = embedding_inputs(random_tensor({V, C}, 1), random_integers({N}, 2, V));
  p.outputs = {activation({N, C})};
  p.run = run_embedding;
  p.reference = embedding_reference;
  p.depth = 0;
  p.run_backward = run_embedding_backward;
  p.gradients_of = {{.input = 0,
                     .accumulates = true,
                     .depth = static_cast<double>(N) / static_cast<double>(V) + 1}};
  p.bytes = 8.0 * static_cast<double>(N * C);
  p.backward_bytes = 4.0 * static_cast<double>(N * C);
  return p;
}

// The last two: one token alone, and every token the same.
const Registered embedding({.name = "embedding",
                            .ops = {"embedding", "embedding_backward"},
                            .test_sizes = {{0, 3, 8},
                                           {1, 1, 1},
                                           {5, 3, 16},
                                           {7, 11, 15},
                                           {13, 5, 17},
                                           {64, 8, 64},
                                           {31, 300, 255},
                                           {67, 7, 257},
                                           {40, 1, 33}},
                            .oclgrind_sizes = {{5, 3, 17}, {3, 8, 2}},
                            .bench_sizes = {{2048, 8192, 384}, {4096, 50257, 768}},
                            .make = make_embedding,
                            .has_activations = true});

/// Tokens that a table of V rows does not have among others.
HostTensor stray_tokens(double V) {
  constexpr double lowest = std::numeric_limits<std::int32_t>::min();
  constexpr double highest = std::numeric_limits<std::int32_t>::max();
  return {{9}, Dtype::i32, {0, V, -1, V - 1, highest, 0, lowest, V + 1, -1}};
}

Problem make_stray_embedding(const Sizes& sizes) {
  const std::size_t V = sizes[0];
  const std::size_t C = sizes[1];
  Problem p;
  p.inputs = embedding_inputs(random_tensor({V, C}, 1), stray_tokens(static_cast<double>(V)));
  p.outputs = {activation({9, C})};
  p.run = run_embedding;
  p.reference = embedding_reference;
  p.depth = 0;
  return p;
}

const Registered stray_embedding({.name = "embedding_of_stray_tokens",
                                  .ops = {"embedding"},
                                  .test_sizes = {{4, 17}, {1, 3}},
                                  .oclgrind_sizes = {{4, 17}},
                                  .bench_sizes = {},
                                  .make = make_stray_embedding,
                                  .has_activations = true});

Problem make_stray_backward(const Sizes& sizes) {
  const std::size_t V = sizes[0];
  const std::size_t C = sizes[1];
  Problem p;
  p.inputs = embedding_inputs(random_activation({9, C}, 1), stray_tokens(static_cast<double>(V)));
  p.outputs = {random_tensor({V, C}, 3)};
  p.run = [](Stream& s, std::vector<Tensor>& out, const std::vector<Tensor>& in) {
    op::embedding_backward(s, out[0], in[0], {in[2], in[3], in[4]});
  };
  p.reference = [V, C](std::vector<HostTensor>& out, const std::vector<HostTensor>& in) {
    for (std::size_t i = 0; i < in[0].values.size(); ++i) {
      const double token = in[1].values[i / C];
      if (token < 0 || token >= static_cast<double>(V)) continue;
      out[0].values[static_cast<std::size_t>(token) * C + i % C] += in[0].values[i];
    }
  };
  p.depth = 3;
  return p;
}

const Registered stray_backward({.name = "embedding_backward_of_stray_tokens",
                                 .ops = {"embedding_backward"},
                                 .test_sizes = {{4, 17}, {1, 3}},
                                 .oclgrind_sizes = {{4, 17}},
                                 .bench_sizes = {},
                                 .make = make_stray_backward,
                                 .has_activations = true});

Problem make_position_embedding(const Sizes& sizes) {
  const std::size_t B = sizes[0];
  const std::size_t T = sizes[1];
  const std::size_t C = sizes[2];
  constexpr std::size_t unused_positions = 2;
  Problem p;
  p.inputs = {random_tensor({T + unused_positions, C}, 1)};
  p.outputs = {random_activation({B * T, C}, 2)};
  p.run = [T](Stream& s, std::vector<Tensor>& out, const std::vector<Tensor>& in) {
    op::position_embedding(s, out[0], in[0], T);
  };
  p.reference = [T, C](std::vector<HostTensor>& out, const std::vector<HostTensor>& in) {
    for (std::size_t i = 0; i < out[0].values.size(); ++i) {
      out[0].values[i] += in[0].values[i % (T * C)];
    }
  };
  p.run_backward = [T](Stream& s, std::vector<Tensor>& gradients, const Tensor& dy,
                       const std::vector<Tensor>&, const std::vector<Tensor>&) {
    op::position_embedding_backward(s, gradients[0], dy, T);
  };
  p.gradients_of = {{.input = 0, .accumulates = true, .depth = static_cast<double>(B) + 1}};
  p.flops = static_cast<double>(B * T * C);
  p.bytes = 8.0 * static_cast<double>(B * T * C);
  p.backward_flops = p.flops;
  p.backward_bytes = 4.0 * static_cast<double>(B * T * C);
  return p;
}

const Registered position_embedding(
    {.name = "position_embedding",
     .ops = {"position_embedding", "position_embedding_backward"},
     .test_sizes =
         {{0, 3, 8}, {1, 1, 1}, {2, 3, 15}, {3, 5, 16}, {5, 2, 17}, {7, 13, 65}, {2, 31, 257}},
     .oclgrind_sizes = {{2, 3, 17}},
     .bench_sizes = {{8, 256, 384}, {4, 1024, 768}},
     .make = make_position_embedding,
     .has_activations = true});

}  // namespace
}  // namespace motley::test
