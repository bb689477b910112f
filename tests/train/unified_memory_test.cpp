// The test of unified memory finds nothing where there is nothing, and what is wrong where memory
// is not the same.
#include "train/unified_memory.h"

#include <gtest/gtest.h>

#include <array>

#include "dist/self_comm.h"
#include "dist/shared_memory.h"
#include "tests/train/tiny_training.h"

namespace motley {
namespace {

constexpr std::size_t num_elements = 4096;

std::span<float> floats(std::span<std::byte> bytes, std::size_t first) {
  return std::span(reinterpret_cast<float*>(bytes.data()), 2 * num_elements)
      .subspan(first, num_elements);
}

class UnifiedMemory : public testing::Test {
 protected:
  void SetUp() override {
    if (!device_.info().unified_memory) GTEST_SKIP() << device_.info().name << " has none";
  }
  Device& device_ = test::device_of(0);
  SelfComm self_;
  const std::array<int, 2> twice_{0, 0};
  const SharedMemory memory_{self_, 2 * num_elements * sizeof(float), twice_};
};

TEST_F(UnifiedMemory, IsWithoutFaultOnThisDevice) {
  EXPECT_EQ(find_unified_memory_fault(device_), "");
  EXPECT_EQ(find_unified_memory_fault(device_, floats(memory_.segment(0), 0), memory_.owner(0),
                                      floats(memory_.segment(1), 0)),
            "");
}

/// As where a driver copies memory once and never again.
TEST_F(UnifiedMemory, IsAtFaultWhereHostAndDeviceHaveMemoryOfTheirOwn) {
  const std::string fault =
      find_unified_memory_fault(device_, floats(memory_.segment(0), 0), memory_.owner(0),
                                floats(memory_.segment(1), num_elements));
  EXPECT_EQ(fault, "a kernel does not see what the host wrote");
}

}  // namespace
}  // namespace motley
