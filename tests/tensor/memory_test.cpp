#include "tensor/memory.h"

#include <gtest/gtest.h>

#include <optional>
#include <thread>
#include <vector>

#include "tensor/device_info.h"
#include "tensor/error.h"
#include "tensor/tensor.h"
#include "tests/scratch_directory.h"

namespace motley {
namespace {

constexpr std::size_t kib = 1024;
constexpr std::size_t limit = 1024 * kib;

MemoryPool make_pool() {
  return {cl::Context(list_devices().at(0).handle), limit};
}

TEST(MemoryPool, CountsWhatItLendsAndWhatItKeeps) {
  MemoryPool pool = make_pool();
  std::shared_ptr<const Lease> first = pool.lease(64 * kib);
  const std::shared_ptr<const Lease> second = pool.lease(32 * kib);
  EXPECT_EQ(pool.statistics().in_use, 96 * kib);
  EXPECT_EQ(pool.statistics().num_allocations, 2u);
  first.reset();
  EXPECT_EQ(pool.statistics().in_use, 32 * kib);
  EXPECT_EQ(pool.statistics().peak_in_use, 96 * kib);
  EXPECT_EQ(pool.statistics().allocated, 96 * kib);
  pool.reset_peak();
  EXPECT_EQ(pool.statistics().peak_in_use, 32 * kib);
  pool.trim();
  EXPECT_EQ(pool.statistics().allocated, 32 * kib) << "what is lent stays";
}

TEST(MemoryPool, LendsABlockAgainForNearlyItsSize) {
  MemoryPool pool = make_pool();
  cl_mem block = pool.lease(64 * kib)->buffer()();
  EXPECT_EQ(pool.lease(64 * kib)->buffer()(), block);
  EXPECT_EQ(pool.lease(48 * kib)->buffer()(), block) << "a quarter may be wasted";
  EXPECT_NE(pool.lease(40 * kib)->buffer()(), block) << "more may not";
  EXPECT_NE(pool.lease(65 * kib)->buffer()(), block);
  EXPECT_EQ(pool.statistics().num_allocations, 3u);
}

TEST(MemoryPool, NeverLendsABlockTwiceAtOnce) {
  MemoryPool pool = make_pool();
  const auto first = pool.lease(4 * kib);
  const auto second = pool.lease(4 * kib);
  EXPECT_NE(first->buffer()(), second->buffer()());
}

TEST(MemoryPool, GivesAtLeastWhatWasAskedFor) {
  MemoryPool pool = make_pool();
  for (const std::size_t bytes : std::vector<std::size_t>{0, 1, 4095, 4096, 4097}) {
    EXPECT_GE(pool.lease(bytes)->bytes(), std::max<std::size_t>(bytes, 1));
  }
}

TEST(MemoryPool, RefusesMoreThanTheDeviceAllowsInOneBuffer) {
  MemoryPool pool = make_pool();
  EXPECT_NO_THROW(pool.lease(limit));
  const std::string message = message_of<DeviceError>([&] { pool.lease(limit + 1); });
  expect_mentions(message, std::to_string(limit));
  expect_mentions(message, "smaller");
  EXPECT_THROW(pool.lease(~std::size_t{0}), ShapeError) << "rounding up must not wrap round";
  EXPECT_EQ(pool.statistics().in_use, 0u);
}

TEST(MemoryPool, ItsLeasesOutliveIt) {
  std::optional<MemoryPool> pool = make_pool();
  const std::shared_ptr<const Lease> lease = pool->lease(4 * kib);
  pool.reset();
  std::size_t bytes = 0;
  EXPECT_EQ(lease->buffer().getInfo(CL_MEM_SIZE, &bytes), CL_SUCCESS);
  EXPECT_EQ(bytes, 4 * kib);
}

TEST(MemoryPool, AViewKeepsItsBlock) {
  MemoryPool pool = make_pool();
  std::optional<Tensor> whole = Tensor(pool.lease(4 * kib), 0, {32, 32}, Dtype::f32);
  cl_mem block = whole->mem();
  std::optional<Tensor> view = whole->slice(3, 5).flat();
  whole.reset();
  EXPECT_EQ(pool.statistics().in_use, 4 * kib);
  EXPECT_NE(pool.lease(4 * kib)->buffer()(), block);
  view.reset();
  EXPECT_EQ(pool.statistics().in_use, 0u);
}

TEST(MemoryPool, ServesThreadsAtOnce) {
  MemoryPool pool = make_pool();
  const auto borrow_often = [&] {
    for (int i = 0; i < 200; ++i) {
      const auto first = pool.lease(8 * kib);
      const auto second = pool.lease(8 * kib);
      ASSERT_NE(first->buffer()(), second->buffer()());
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back(borrow_often);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(pool.statistics().in_use, 0u);
  EXPECT_LE(pool.statistics().num_allocations, 8u);
}

TEST(Tensor, RefusesViewsThatLeaveItsMemory) {
  MemoryPool pool = make_pool();
  const Tensor tensor(pool.lease(4 * kib), 0, {8, 16}, Dtype::f32);
  EXPECT_THROW(tensor.slice(7, 9), ShapeError);
  EXPECT_THROW(tensor.slice(3, 2), ShapeError);
  EXPECT_THROW((tensor.reshape({8, 17})), ShapeError);
  EXPECT_THROW(Tensor(pool.lease(4 * kib), 1, {1024}, Dtype::f32), ShapeError);
  EXPECT_THROW(Tensor(pool.lease(4 * kib), ~std::size_t{0}, {1}, Dtype::f32), ShapeError);
  EXPECT_EQ(tensor.slice(8, 8).size(), 0u);
  EXPECT_EQ(tensor.slice(2, 5).offset(), 32u);
}

}  // namespace
}  // namespace motley
