// Rotary position embedding: its table, its rotation and the rotation back.
#include <cmath>
#include <vector>

#include "kernels/attention_check.h"
#include "kernels/check.h"
#include "kernels/generated.h"
#include "kernels/ops.h"
#include "tensor/device.h"

namespace motley::op {
namespace {

// The work-group of rope_gpu.cl.
constexpr std::size_t group_pairs = 32;
constexpr std::size_t group_heads = 8;

void rotate(std::string_view op, Stream& s, Tensor& qkv, const Tensor& table,
            const AttentionShape& shape, float direction) {
  check_attention_shape(op, shape);
  require<ShapeError>(shape.D % 2 == 0, "op.shape",
                      "{}: D is {}, it must be even to be rotated in pairs", op, shape.D);
  const std::size_t N = checked_mul(shape.B, shape.T);
  const std::size_t stride = qkv_width(shape);
  check_real(op, "qkv", qkv, {N, stride});
  check_rank(op, "table", table, 2);
  require<ShapeError>(table.dim(0) >= shape.T && table.dim(1) == shape.D, "op.shape",
                      "{}: table is {}, it must be [{} or more, {}]", op, to_string(table.shape()),
                      shape.T, shape.D);
  const std::size_t num_heads = shape.H + shape.G;
  const auto T = narrow<std::uint32_t>(shape.T);
  const auto D = narrow<std::uint32_t>(shape.D);
  if (s.device().family() == KernelFamily::cpu) {
    launch(s, {.groups = {N, 1, 1}},
           k::rope_cpu{.qkv = qkv,
                       .table = table,
                       .T = T,
                       .D = D,
                       .num_heads = narrow<std::uint32_t>(num_heads),
                       .stride = std::uint64_t{stride},
                       .direction = direction});
    return;
  }
  const std::size_t blocks = ceil_div(shape.D / 2, group_pairs);
  launch(s,
         {.groups = {checked_mul(N, blocks), ceil_div(num_heads, group_heads), 1},
          .local = {group_pairs, group_heads, 1}},
         k::rope_gpu{.qkv = qkv,
                     .table = table,
                     .T = T,
                     .D = D,
                     .num_heads = narrow<std::uint32_t>(num_heads),
                     .blocks = narrow<std::uint32_t>(blocks),
                     .stride = std::uint64_t{stride},
                     .direction = direction});
}

}  // namespace

Tensor rope_table(Stream& s, std::size_t T, std::size_t D, double theta) {
  require<ShapeError>(D % 2 == 0 && D > 0, "op.shape",
                      "rope_table: D is {}, it must be even and positive to be rotated in pairs",
                      D);
  const std::size_t half = D / 2;
  std::vector<float> values(checked_mul(T, D));
  for (std::size_t i = 0; i < half; ++i) {
    const double frequency = std::pow(theta, -static_cast<double>(2 * i) / static_cast<double>(D));
    for (std::size_t t = 0; t < T; ++t) {
      const double angle = static_cast<double>(t) * frequency;
      values[t * D + i] = static_cast<float>(std::cos(angle));
      values[t * D + half + i] = static_cast<float>(std::sin(angle));
    }
  }
  Tensor table = s.tensor({T, D});
  s.write<float>(table, values);
  return table;
}

void rope(Stream& s, Tensor& qkv, const Tensor& table, const AttentionShape& shape) {
  rotate("rope", s, qkv, table, shape, 1.0f);
}

void rope_backward(Stream& s, Tensor& dqkv, const Tensor& table, const AttentionShape& shape) {
  rotate("rope_backward", s, dqkv, table, shape, -1.0f);
}

}  // namespace motley::op
