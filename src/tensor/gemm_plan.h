// How products of matrices are cut, by their shapes: plain data that a Device holds. What suits a
// device is found by kernels/gemm_plan.h and kernels/gemm_tuner.h.
#pragma once

#include <cstddef>
#include <map>

#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace motley {

/// Which factor of a product is transposed.
enum class Transpose { none, a, b };

/// All that the plan of a product c = op(a) op(b) depends on; c is [M, N], the inner size is K.
struct GemmShape {
  Dtype dtype = Dtype::f32;  // bf16 or f16 where any matrix is
  Transpose transpose = Transpose::none;
  std::size_t M = 0;
  std::size_t N = 0;
  std::size_t K = 0;

  auto operator<=>(const GemmShape&) const = default;  // NOLINT(modernize-use-nullptr): is wrong
  Shape a_shape() const { return transpose == Transpose::a ? Shape{K, M} : Shape{M, K}; }
  Shape b_shape() const { return transpose == Transpose::b ? Shape{N, K} : Shape{K, N}; }
  double flops() const {
    return 2.0 * static_cast<double>(M) * static_cast<double>(N) * static_cast<double>(K);
  }
};

/// How a product is cut. Each family of kernels has numbers of its own, the others are 0; all 0:
/// what the family does by itself. Tiles and blocks of rows change no bits: each sum goes through k
/// in the same order. The cpu family adds the sums of a block of k to those before it, so its
/// length changes roundings of products with more k.
struct GemmPlan {
  std::size_t tile_rows = 0;        // of c: cpu, kept in registers; gpu, of a work-group
  std::size_t tile_columns = 0;     // the same
  std::size_t k_block = 0;          // the longest block of k
  std::size_t row_block_bytes = 0;  // cpu: of a's rows that stay in a cache while b's panels pass
  std::size_t item_rows = 0;        // gpu: of c that a work-item has in registers
  std::size_t item_columns = 0;     // the same

  bool operator==(const GemmPlan&) const = default;
};

/// Plans of the shapes that have one of their own; others get the device's default.
using GemmPlans = std::map<GemmShape, GemmPlan>;

}  // namespace motley
