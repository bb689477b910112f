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

constexpr std::size_t num_elements = std::size_t{1} << 16;  // more than a device's nearest cache
constexpr int num_rounds = 4;

/// Another number for every element and round. Integers: sums are exact.
float number(int round, std::size_t i) {
  return static_cast<float>((i * 7 + static_cast<std::size_t>(round) * 1001) % 4096);
}

}  // namespace

std::string find_unified_memory_fault(Device& device) {
  SelfComm self;
  const std::array<int, 2> twice{0, 0};
  const SharedMemory memory(self, num_elements * sizeof(float), twice);
  const auto view = [&](std::size_t i) {
    return std::span(reinterpret_cast<float*>(memory.segment(i).data()), num_elements);
  };
  return find_unified_memory_fault(device, view(0), memory.owner(0), view(1));
}

std::string find_unified_memory_fault(Device& device, std::span<float> near,
                                      const std::shared_ptr<const void>& owner,
                                      std::span<float> far) {
  const std::size_t size = near.size();
  Stream& s = device.stream();
  Tensor shared = device.wrap(near, owner);
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
    s.copy(shared, own);
    op::add(s, shared, own);  // writes for the host
    const HostView<float> view = s.map<float>(shared, Access::read_write);
    for (std::size_t i = 0; i < size; ++i) {
      if (far[i] != 2 * expected[i]) return "the host does not see what a kernel wrote";
    }
  }
  return "";
}

}  // namespace motley
