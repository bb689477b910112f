// CLBlast's product in half precision, which Motley does not use: for bench/probe.
#pragma once

#include <cstddef>

#include "tensor/stream.h"

namespace motley::bench {

/// Enqueues c = a b of n x n halves; the tensors, of whatever dtype, are memory of at least that
/// size. Throws DeviceError where CLBlast or the device refuses.
void clblast_hgemm(Stream& s, Tensor& c, const Tensor& a, const Tensor& b, std::size_t n);

}  // namespace motley::bench
