// Copies through the ring: every size beside a block's and the ring's, both directions mixed, in
// order, and after events of another stream.
#include "tensor/staging.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <numeric>
#include <vector>

#include "kernels/ops.h"
#include "tensor/checked.h"
#include "tensor/device.h"
#include "tensor/error.h"

namespace motley {
namespace {

constexpr Staging::Ring tiny{.block_bytes = 256, .num_blocks = 3};
constexpr std::size_t block = tiny.block_bytes / sizeof(float);

class StagingTest : public testing::Test {
 protected:
  StagingTest()
      : device_(list_devices().at(0),
                {.family = KernelFamily::cpu, .fresh_memory = FreshMemory::poison}),
        stream_(device_) {}

  /// Memory that the device's own stream has done poisoning: other streams do not wait for that.
  Tensor fresh_tensor(std::size_t size, Dtype dtype = Dtype::f32) {
    Tensor tensor = device_.tensor({size}, dtype);
    device_.stream().finish();
    return tensor;
  }
  static void finish(Staging& staging) {
    while (!staging.is_idle()) staging.advance();
    EXPECT_FALSE(staging.advance());
  }
  static std::vector<float> numbers(std::size_t size, float first) {
    std::vector<float> values(size);
    std::iota(values.begin(), values.end(), first);
    return values;
  }

  Device device_;
  Stream stream_;  // beside the device's own, as a communication thread has it
};

TEST_F(StagingTest, CopiesEverySizeThereAndBack) {
  Staging staging(stream_, tiny);
  const Event now = device_.stream().mark();
  for (const std::size_t size : {std::size_t{1}, block - 1, block, block + 1, 3 * block - 1,
                                 3 * block, 3 * block + 1, 10 * block + 7}) {
    Tensor tensor = fresh_tensor(size);
    const std::vector<float> values = numbers(size, 1);
    staging.write<float>(tensor, values);
    finish(staging);
    std::vector<float> got(size);
    device_.stream().read<float>(got, tensor);
    EXPECT_EQ(got, values) << size;
    std::fill(got.begin(), got.end(), 0.0f);
    staging.read<float>(got, tensor, now);
    finish(staging);
    EXPECT_EQ(got, values) << size;
  }
}

TEST_F(StagingTest, NothingIsDoneAtOnce) {
  Staging staging(stream_, tiny);
  Tensor none = device_.tensor({0});
  staging.write<float>(none, std::vector<float>());
  EXPECT_TRUE(staging.is_idle());
  EXPECT_FALSE(staging.advance());
}

/// A read that is asked for after a write sees it, however they are cut into blocks.
TEST_F(StagingTest, KeepsTheOrderOfCopiesOfEitherDirection) {
  Staging staging(stream_, tiny);
  const Event now = device_.stream().mark();
  Tensor tensor = device_.tensor({5 * block});
  std::deque<std::vector<float>> written;
  std::deque<std::vector<float>> read;
  std::vector<float> expected(tensor.size(), -1);
  device_.stream().write<float>(tensor, expected);
  std::deque<std::vector<float>> all_expected;
  for (std::size_t i = 0; i < 40; ++i) {
    const std::size_t begin = (i * 37) % (4 * block);
    const std::size_t size = 1 + (i * 53) % block;
    written.push_back(numbers(size, static_cast<float>(1000 * i)));
    staging.write<float>(tensor.slice(begin, begin + size), written.back());
    std::copy(written.back().begin(), written.back().end(),
              expected.begin() + static_cast<std::ptrdiff_t>(begin));
    read.emplace_back(tensor.size());
    staging.read<float>(read.back(), tensor, now);
    all_expected.push_back(expected);
    if (i % 7 == 0) staging.advance();
  }
  finish(staging);
  EXPECT_EQ(read, all_expected);
}

/// The kernels take far longer than it takes to ask for them and for the copy.
TEST_F(StagingTest, ReadsAfterTheEventOfAnotherStream) {
  Staging staging(stream_, tiny);
  constexpr std::size_t size = std::size_t{1} << 22;
  Stream& compute = device_.stream();
  Tensor sum = device_.zeros({size});
  Tensor one = device_.tensor({size});
  compute.write<float>(one, std::vector<float>(size, 1.0f));
  op::add(compute, sum, one);  // builds the kernel
  compute.finish();
  constexpr int num_kernels = 40;
  for (int i = 1; i < num_kernels; ++i) op::add(compute, sum, one);
  const Event done = compute.mark();
  std::vector<float> got(block);
  staging.read<float>(got, sum.slice(size - block, size), done);
  finish(staging);
  EXPECT_EQ(got, std::vector<float>(block, static_cast<float>(num_kernels)));
}

TEST_F(StagingTest, CopiesSixteenBitRealsAsIntegers) {
  Staging staging(stream_, tiny);
  std::vector<std::uint16_t> values(3 * block + 1);
  std::iota(values.begin(), values.end(), std::uint16_t{0x3F80});
  Tensor tensor = fresh_tensor(values.size(), Dtype::bf16);
  staging.write<std::uint16_t>(tensor, values);
  std::vector<std::uint16_t> got(values.size());
  staging.read<std::uint16_t>(got, tensor, device_.stream().mark());
  finish(staging);
  EXPECT_EQ(got, values);
}

TEST_F(StagingTest, RefusesWhatDoesNotFit) {
  Staging staging(stream_, tiny);
  Tensor tensor = device_.tensor({4});
  std::vector<float> five(5);
  std::vector<std::uint16_t> four(4);
  const Event now = device_.stream().mark();
  EXPECT_THROW(staging.write<float>(tensor, five), ShapeError);
  EXPECT_THROW(staging.read<float>(five, tensor, now), ShapeError);
  EXPECT_THROW(staging.read<std::uint16_t>(four, tensor, now), ShapeError);
  EXPECT_THROW(Staging(stream_, {.block_bytes = 100, .num_blocks = 2}), ShapeError);
  EXPECT_THROW(Staging(stream_, {.block_bytes = 64, .num_blocks = 0}), ShapeError);
  EXPECT_TRUE(staging.is_idle());
}

TEST_F(StagingTest, MayEndWithCopiesUnderWay) {
  Tensor tensor = device_.tensor({10 * block});
  std::vector<float> got(tensor.size());
  Staging staging(stream_, tiny);
  staging.read<float>(got, tensor, device_.stream().mark());
  while (staging.advance()) {
  }
}

TEST_F(StagingTest, PinnedMemoryIsMapped) {
  PinnedMemory memory(stream_, 4096);
  EXPECT_TRUE(memory.is_pinned());
  ASSERT_EQ(memory.bytes().size(), 4096u);
  std::fill(memory.bytes().begin(), memory.bytes().end(), std::byte{7});
}

/// More than the device gives in one buffer; ordinary memory takes no room until it is used.
TEST_F(StagingTest, GoesOnWithOrdinaryMemoryWhereNoneIsPinned) {
  const std::size_t too_much = round_up(device_.info().max_allocation + 1, std::size_t{4096});
  EXPECT_FALSE(PinnedMemory(stream_, too_much).is_pinned());
  Staging staging(stream_, {.block_bytes = too_much, .num_blocks = 1});
  Tensor tensor = fresh_tensor(1000);
  const std::vector<float> values = numbers(1000, 1);
  staging.write<float>(tensor, values);
  std::vector<float> got(1000);
  staging.read<float>(got, tensor, device_.stream().mark());
  finish(staging);
  EXPECT_EQ(got, values);
}

}  // namespace
}  // namespace motley
