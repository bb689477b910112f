// The products of matrices in a step of a workload.
#pragma once

#include <string>
#include <vector>

#include "bench/workload.h"
#include "kernels/ops.h"

namespace motley::bench {

/// c = op(a) op(b), or added to it: C [M, N], inner size K.
struct Product {
  std::string layer;  // "mlp.up"
  std::string form;   // "NT": y = x w^T; "NN": dx = dy w; "TN": dw += dy^T x
  std::size_t M;
  std::size_t N;
  std::size_t K;
  std::size_t count;  // in a step

  bool transposes_a() const { return form == "TN"; }
  bool transposes_b() const { return form == "NT"; }
  op::Transpose transpose() const {
    if (transposes_a()) return op::Transpose::a;
    return transposes_b() ? op::Transpose::b : op::Transpose::none;
  }
  op::Into into() const { return transposes_a() ? op::Into::accumulate : op::Into::replace; }
  Shape a_shape() const { return transposes_a() ? Shape{K, M} : Shape{M, K}; }
  Shape b_shape() const { return transposes_b() ? Shape{N, K} : Shape{K, N}; }
  double flops() const {
    return 2.0 * static_cast<double>(M) * static_cast<double>(N) * static_cast<double>(K);
  }
};

/// All of them, every form of a layer after the other. The head's are those of one chunk of tokens,
/// as linear_cross_entropy cuts them for activations of `dtype`.
std::vector<Product> products_of(const Workload& workload, Dtype dtype);

}  // namespace motley::bench
