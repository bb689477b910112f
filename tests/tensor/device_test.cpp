#include "tensor/device.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "kernels/ops.h"

namespace motley {
namespace {

Device open_first() {
  return Device(list_devices().at(0),
                {.family = KernelFamily::cpu, .fresh_memory = FreshMemory::poison});
}

TEST(Device, RunsAKernelOnAViewThatStartsAnywhere) {
  Device device = open_first();
  Stream& s = device.stream();
  Tensor storage = device.tensor({3, 10});
  Tensor x = storage.slice(1, 3);
  Tensor y = device.tensor({2, 10});
  Tensor rstd = device.tensor({2});
  Tensor w = device.tensor({10});
  s.write<float>(x, std::vector<float>(20, 2.0f));
  s.write<float>(w, std::vector<float>(10, 3.0f));
  op::rms_norm(s, y, rstd, x, w, 0.0f);
  std::vector<float> values(20);
  s.read<float>(values, y);
  for (const float v : values) EXPECT_FLOAT_EQ(v, 3.0f);
}

TEST(Device, FreshMemoryIsPoisonedOnRequest) {
  Device device = open_first();
  Tensor t = device.tensor({5});
  std::vector<float> values(5, 0.0f);
  device.stream().read<float>(values, t);
  for (const float v : values) EXPECT_NE(v, v);
}

TEST(Tensor, OutlivesItsDevice) {
  std::optional<Tensor> survivor;
  {
    Device device = open_first();
    survivor = device.zeros({4});
  }
  EXPECT_NE(survivor->mem(), nullptr);
}

TEST(Tensor, HostMemoryUnderItOutlivesQueuedCommands) {
  Device device = open_first();
  Stream& s = device.stream();
  constexpr std::size_t size = 4096;
  alignas(memory_granule) static std::array<float, size> memory;
  const cl::UserEvent gate(device.context());
  Tensor other = device.tensor({1});
  const float value = 0;
  const Event until_open(gate);
  s.start_write(other, 0, std::as_bytes(std::span(&value, 1)), &until_open);
  auto owner = std::make_shared<const int>();
  const std::weak_ptr<const int> is_owned = owner;
  {
    Tensor wrapped = device.wrap(memory, std::move(owner));
    s.fill(wrapped, 1);
  }
  EXPECT_FALSE(is_owned.expired()) << "a command that writes there is still queued";
  ASSERT_EQ(cl::UserEvent(gate).setStatus(CL_COMPLETE), CL_SUCCESS);
  s.finish();
  // The driver lets go of a command some time after it is done.
  while (!is_owned.expired()) std::this_thread::yield();
}

TEST(Pool, ReusesWhatIsNoLongerHeldAndNothingElse) {
  Device device = open_first();
  Tensor kept = device.tensor({1000});
  const cl_mem first = kept.mem();
  const Tensor view = kept.slice(0, 10);
  kept = Tensor();
  EXPECT_NE(device.tensor({1000}).mem(), first) << "a view still holds the block";
}

TEST(Shape, RefusesWhatDoesNotFitSixtyFourBits) {
  EXPECT_THROW((Shape{std::size_t{1} << 40, std::size_t{1} << 40}), ShapeError);
}

TEST(Op, RefusesShapesThatDoNotFit) {
  Device device = open_first();
  Tensor y = device.zeros({2, 3});
  Tensor rstd = device.zeros({2});
  const Tensor w = device.zeros({4});
  const Tensor x = device.zeros({2, 3});
  EXPECT_THROW(op::rms_norm(device.stream(), y, rstd, x, w, 0.0f), ShapeError);
}

}  // namespace
}  // namespace motley
