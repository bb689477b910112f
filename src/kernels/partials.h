// The second stage of sums over a matrix's rows, whose first stage sums blocks of them.
#pragma once

#include "tensor/stream.h"
#include "tensor/tensor.h"

namespace motley::op {

/// out[c] += sum over blocks of partial[block, part, c], blocks in order. out: [C]; partial:
/// [blocks, parts, C].
void add_partials(Stream& s, Tensor& out, const Tensor& partial, std::size_t part);

}  // namespace motley::op
