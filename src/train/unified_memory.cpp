#include "train/unified_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "dist/self_comm.h"
#include "dist/shared_memory.h"
#include "kernels/ops.h"

namespace motley {
namespace {

constexpr std::size_t size = std::size_t{1} << 16;  // elements; more than a device's nearest cache
constexpr std::size_t bytes = size * sizeof(float);
constexpr int num_rounds = 4;

/// Another number for every element and round. Integers: sums are exact.
float number(int round, std::size_t i) {
  return static_cast<float>((i * 7 + static_cast<std::size_t>(round) * 1001) % 4096);
}

}  // namespace

std::string find_unified_memory_fault(Device& device) {
  SelfComm self;
  const std::array<int, 2> twice{0, 0};
  const SharedMemory memory(self, bytes, twice);
  const auto floats = [&](std::size_t view) {
    return std::span(reinterpret_cast<float*>(memory.segment(view).data()), size);
  };
  const std::span<float> near = floats(0);
  const std::span<float> far = floats(1);
  Stream& s = device.stream();
  Tensor shared = device.wrap(near, memory.owner(0));
  Tensor own = device.zeros({size});
  std::vector<float> expected(size, 0.0f);
  std::vector<float> got(size);
  for (int round = 0; round < num_rounds; ++round) {
    {
      const HostView<float> view = s.map<float>(shared, Access::read_write);
      if (view.span().data() != near.data()) return "a map gives other memory than was wrapped";
      for (std::size_t i = 0; i < size; ++i) far[i] = number(round, i);
    }
    op::add(s, own, shared);  // reads what the host wrote
    for (std::size_t i = 0; i < size; ++i) expected[i] += number(round, i);
    s.read<float>(got, own);
    if (got != expected) return "a kernel does not see what the host wrote";
    op::add(s, shared, own);  // writes for the host
    const HostView<float> view = s.map<float>(shared, Access::read_write);
    for (std::size_t i = 0; i < size; ++i) {
      if (far[i] != number(round, i) + expected[i])
        return "the host does not see what a kernel wrote";
    }
  }
  return "";
}

}  // namespace motley
