// Writing what an update depends on besides gradients, for tests that run updates one by one.
#pragma once

#include <array>
#include <span>

#include "kernels/ops.h"

namespace motley::test {

inline void write_numbers(Stream& s, op::UpdateControl& control, const op::UpdateNumbers& numbers) {
  Tensor place = control.slice(op::numbers_begin, op::control_size);
  s.write<float>(place,
                 std::array{numbers.rate, numbers.root, numbers.keep, numbers.one_over_tokens});
}

}  // namespace motley::test
