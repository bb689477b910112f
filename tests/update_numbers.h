// Writing what an update depends on besides gradients, for tests that run updates one by one.
#pragma once

#include <span>

#include "kernels/ops.h"

namespace motley::test {

inline void write_numbers(Stream& s, op::UpdateControl& control, const op::UpdateNumbers& numbers) {
  Tensor place = control.slice(op::numbers_begin, op::control_size);
  s.start_write(place, 0, std::as_bytes(std::span(&numbers, 1))).wait();
}

}  // namespace motley::test
