// The products of matrices that training a model consists of, for the tuner.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "model/config.h"
#include "tensor/dtype.h"
#include "tensor/gemm_plan.h"

namespace motley {

struct Product {
  std::string name;  // "qkv forward", "head dW"; several of one shape: "out forward, ..."
  GemmShape shape;
  std::size_t count = 0;  // in forward and backward of one micro-batch, without recomputation
};

/// Every shape that forward and backward of B sequences of T tokens multiply, with activations of
/// `dtype`; those with the most operations in all first.
std::vector<Product> training_products(const ModelConfig& config, std::size_t B, std::size_t T,
                                       Dtype dtype);

}  // namespace motley
