// What is recorded runs with each replay as it would have at once, and a replay does no more than
// enqueue it.
#include "tensor/recording.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "kernels/ops.h"
#include "tensor/device.h"

namespace {
thread_local std::size_t num_allocations = 0;
}  // namespace

// Counts what this thread allocates. Not inline, or compilers see a new that is freed.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  ++num_allocations;
  if (void* memory = std::malloc(bytes)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  ++num_allocations;
  return std::malloc(bytes);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace motley {
namespace {

using Values = std::vector<float>;

class Recordings : public testing::Test {
 protected:
  Device device_{list_devices().at(0),
                 {.family = KernelFamily::cpu, .fresh_memory = FreshMemory::poison}};
  Stream& s_ = device_.stream();
  Tensor x_ = tensor({1, 2, 3, 4});
  Tensor y_ = tensor({0, 0, 0, 0});

  Tensor tensor(const Values& values) {
    Tensor tensor = device_.tensor({values.size()});
    s_.write<float>(tensor, values);
    return tensor;
  }
  Values read(const Tensor& tensor) {
    Values values(tensor.size());
    s_.read<float>(values, tensor);
    return values;
  }
  static std::string code_of(const std::function<void()>& work) {
    try {
      work();
    } catch (const Error& e) {
      return std::string(e.code());
    }
    return "";
  }
};

TEST_F(Recordings, RunNothingUntilTheyAreReplayedAndThenEachTime) {
  Recording recording(s_, [&] { op::add(s_, y_, x_); });
  EXPECT_EQ(read(y_), Values({0, 0, 0, 0}));
  recording.replay();
  recording.replay();
  EXPECT_EQ(read(y_), Values({2, 4, 6, 8}));
  EXPECT_EQ(recording.num_commands(), 1u);
  EXPECT_EQ(recording.memory_bytes(), 0u);
}

/// z = x + x and t = z + z go through memory of the recording, which fills and copies reach as
/// well.
TEST_F(Recordings, GiveTensorsThatOpsMakeMemory) {
  Recording recording(s_, [&] {
    Tensor z = s_.tensor({4});
    s_.fill(z);
    op::add(s_, z, x_);
    op::add(s_, z, x_);
    Tensor t = s_.tensor({2, 4});
    Tensor second = t.slice(1, 2).flat();
    s_.copy(second, z);
    op::add(s_, second, z);
    z = {};
    s_.copy(y_, second);
  });
  for (int i = 0; i < 2; ++i) {
    s_.fill(y_);
    recording.replay();
    EXPECT_EQ(read(y_), Values({4, 8, 12, 16}));
  }
  EXPECT_EQ(recording.memory_bytes(), 2 * memory_granule);
}

TEST_F(Recordings, ShareMemoryBetweenTensorsThatDoNotLiveTogether) {
  constexpr std::size_t size = 10 * memory_granule / sizeof(float);
  Recording recording(s_, [&] {
    for (int i = 0; i < 5; ++i) {
      Tensor t = s_.tensor({size});
      s_.fill(t);
    }
  });
  EXPECT_EQ(recording.memory_bytes(), size * sizeof(float));
}

/// Other launches of the same kernel in between change nothing: each command has its own object.
TEST_F(Recordings, KeepTheirArguments) {
  Recording recording(s_, [&] { op::add(s_, y_, x_); });
  Tensor z = tensor({5, 5, 5, 5});
  recording.replay();
  op::add(s_, z, y_);
  recording.replay();
  EXPECT_EQ(read(y_), Values({2, 4, 6, 8}));
  EXPECT_EQ(read(z), Values({6, 7, 8, 9}));
}

/// What is too large for the lender's memory has its own.
TEST_F(Recordings, MayLendTheirMemory) {
  const auto filling = [&](std::size_t pages) {
    return [this, pages] {
      Tensor t = s_.tensor({pages * memory_granule / sizeof(float)});
      s_.fill(t, 0x3f800000u);  // ones
      s_.copy(y_, t.slice(0, 4));
    };
  };
  const Recording lender(s_, filling(4));
  const std::size_t before = device_.pool().statistics().in_use;
  const Recording small(s_, filling(3), &lender);
  EXPECT_EQ(device_.pool().statistics().in_use, before);
  const Recording large(s_, filling(5), &lender);
  EXPECT_EQ(device_.pool().statistics().in_use, before + 5 * memory_granule);
  for (const Recording* recording : {&small, &large, &lender}) {
    s_.fill(y_);
    recording->replay();
    EXPECT_EQ(read(y_), Values({1, 1, 1, 1}));
  }
}

TEST_F(Recordings, KeepTensorsAlive) {
  Tensor z = tensor({7, 7, 7, 7});
  const std::size_t before = device_.pool().statistics().in_use;
  {
    Recording recording(s_, [&] { s_.copy(y_, z); });
    z = {};
    EXPECT_EQ(device_.pool().statistics().in_use, before);
    recording.replay();
    EXPECT_EQ(read(y_), Values({7, 7, 7, 7}));
  }
  EXPECT_LT(device_.pool().statistics().in_use, before);
}

TEST_F(Recordings, CallTheHostInBetween) {
  Recording recording(s_, [&] {
    op::add(s_, y_, x_);
    s_.recorder()->add(HostCall{3, 8});
    op::add(s_, y_, x_);
  });
  std::vector<std::pair<int, std::size_t>> calls;
  Values seen;
  recording.replay([&](const HostCall& call) {
    calls.emplace_back(call.kind, call.index);
    seen = read(y_);
  });
  EXPECT_EQ(calls, (std::vector<std::pair<int, std::size_t>>{{3, 8}}));
  EXPECT_EQ(seen, Values({1, 2, 3, 4}));
  EXPECT_EQ(read(y_), Values({2, 4, 6, 8}));
}

/// As CLBlast's are: on the queue itself, with the memory that a recorded tensor got.
TEST_F(Recordings, RunForeignWorkOnPlannedMemory) {
  const auto copy_to = [&](const Tensor& from, const Tensor& to) {
    s_.enqueue_foreign("copy", {}, {&from, &to}, [this](std::span<const MemoryPlace> places) {
      check_cl(clEnqueueCopyBuffer(s_.queue(), places[0].memory, places[1].memory, places[0].offset,
                                   places[1].offset, 2 * sizeof(float), 0, nullptr, nullptr),
               "clEnqueueCopyBuffer");
    });
  };
  Recording recording(s_, [&] {
    const Tensor other = s_.tensor({100});
    Tensor t = s_.tensor({4});
    copy_to(x_.slice(1, 3), t.slice(2, 4));
    copy_to(t.slice(2, 4), y_);
  });
  recording.replay();
  EXPECT_EQ(read(y_), Values({2, 3, 0, 0}));
}

TEST_F(Recordings, RefuseWhatWaitsForTheDevice) {
  Values values(4);
  const auto record = [&](const std::function<void()>& work) {
    return code_of([&] { const Recording recording(s_, work); });
  };
  EXPECT_EQ(record([&] { s_.read<float>(values, x_); }), "tensor.recording");
  EXPECT_EQ(record([&] { s_.write<float>(x_, values); }), "tensor.recording");
  EXPECT_EQ(record([&] { s_.map<float>(x_, Access::read); }), "tensor.recording");
  EXPECT_EQ(record([&] { s_.finish(); }), "tensor.recording");
  EXPECT_EQ(record([&] { const Recording inner(s_, [] {}); }), "tensor.recording");
  EXPECT_EQ(read(x_), Values({1, 2, 3, 4})) << "the stream works again";
}

TEST_F(Recordings, TensorsOfOneAreOfNoUseOutside) {
  Tensor escaped;
  const Recording recording(s_, [&] {
    escaped = s_.tensor({4});
    s_.fill(escaped);
  });
  EXPECT_EQ(code_of([&] { op::add(s_, y_, escaped); }), "tensor.recorded");
  EXPECT_EQ(code_of([&] { s_.copy(y_, escaped); }), "tensor.recorded");
}

TEST_F(Recordings, LetWorkRunThatIsNotToBeRecorded) {
  const Recording recording(s_, [&] { s_.without_recording([&] { op::add(s_, y_, x_); }); });
  EXPECT_EQ(read(y_), Values({1, 2, 3, 4}));
  EXPECT_EQ(recording.num_commands(), 0u);
}

TEST_F(Recordings, AreReplayedWithoutAllocationLookupOrWait) {
  Recording recording(s_, [&] {
    Tensor z = s_.tensor({4});
    s_.copy(z, x_);
    op::add(s_, y_, z);
    op::add(s_, y_, x_);
    s_.recorder()->add(HostCall{});
  });
  std::size_t num_calls = 0;
  const std::function<void(const HostCall&)> on_call = [&](const HostCall&) { ++num_calls; };
  recording.replay(on_call);  // the driver finishes the kernels
  s_.finish();
  const StreamStatistics before = s_.statistics();
  const std::size_t leased = device_.pool().statistics().num_allocations;
  const std::size_t allocated = num_allocations;
  recording.replay(on_call);
  EXPECT_EQ(num_allocations, allocated);
  EXPECT_EQ(device_.pool().statistics().num_allocations, leased);
  EXPECT_EQ(s_.statistics().launches, before.launches + 2);
  EXPECT_EQ(s_.statistics().lookups, before.lookups);
  EXPECT_EQ(s_.statistics().waits, before.waits);
  EXPECT_EQ(num_calls, 2u);
}

}  // namespace
}  // namespace motley
