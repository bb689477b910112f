// What the products of GPUs have in common.
#pragma once

#include <algorithm>
#include <limits>

#include "kernels/gemm.h"
#include "tensor/checked.h"

namespace motley::op {

/// Throws ShapeError for sizes that kernels cannot count in 32 bits: they look a little past an
/// end.
inline void check_sizes(const GemmProblem& p) {
  constexpr std::size_t max_size = std::numeric_limits<std::uint32_t>::max() - 256;
  require<ShapeError>(std::max({p.M, p.N, p.K}) <= max_size, "op.shape",
                      "a product of M={}, N={}, K={}: a size is above {}; split it", p.M, p.N, p.K,
                      max_size);
}

/// As definitions take it.
inline std::int64_t i64(std::size_t value) {
  return narrow<std::int64_t>(value);
}

/// 1 where all rows of a matrix start at multiples of `elements`, as wide accesses need it: buffers
/// do.
inline std::uint32_t rows_start_at(const Tensor& x, std::size_t columns, std::size_t elements) {
  return x.offset() % elements == 0 && columns % elements == 0 ? 1 : 0;
}

}  // namespace motley::op
