// Streams of a device that keeps a profile tell what ran, when, and how much it was.
#include "tensor/profile.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "kernels/ops.h"
#include "tensor/clock.h"
#include "tensor/device.h"

namespace motley {
namespace {

constexpr std::size_t size = std::size_t{1} << 16;

class Profile : public testing::Test {
 protected:
  Device device_{list_devices().at(0), {.family = KernelFamily::cpu, .profiled = true}};
  Stream& s_ = device_.stream();
  Tensor a_ = device_.zeros({size});
  Tensor b_ = device_.zeros({size});
  CommandProfile& profile_ = *device_.profile();
};

TEST_F(Profile, IsNotKeptByDefault) {
  Device plain(list_devices().at(0), {.family = KernelFamily::cpu});
  EXPECT_EQ(plain.profile(), nullptr);
}

TEST_F(Profile, NotesNothingUntilItIsStarted) {
  op::add(s_, a_, b_);
  s_.finish();
  EXPECT_TRUE(profile_.take().empty());
}

TEST_F(Profile, NotesCommandsInOrderWithinTheirTime) {
  op::add(s_, a_, b_);  // builds the kernel
  profile_.start(s_);
  const double began = monotonic_seconds();
  op::add(s_, a_, b_);
  s_.copy(b_, a_);
  s_.fill(a_);
  std::vector<float> values(size);
  s_.read<float>(values, a_);
  s_.write<float>(a_, values);
  s_.finish();
  const double ended = monotonic_seconds();
  const std::vector<TimedCommand> commands = profile_.take();

  std::vector<std::string> names;
  names.reserve(commands.size());
  for (const TimedCommand& command : commands) names.push_back(command.name);
  EXPECT_EQ(names, (std::vector<std::string>{"add_into", "copy", "fill", "read", "write"}));
  constexpr double drift_s = 1e-3;  // between the clocks since start()
  const double clock_error_s = profile_.clock().error + drift_s;
  double last = began - clock_error_s;
  for (const TimedCommand& command : commands) {
    EXPECT_EQ(command.stream, 0u);
    EXPECT_GE(command.began, last) << command.name;
    EXPECT_GE(command.ended, command.began) << command.name;
    last = command.ended;
  }
  EXPECT_LE(last, ended + clock_error_s);
  EXPECT_EQ(commands[0].work.bytes, 2.0 * size * sizeof(float)) << "two buffers, each once";
  EXPECT_EQ(commands[1].work.bytes, 2.0 * size * sizeof(float));
  EXPECT_EQ(commands[2].work.bytes, 1.0 * size * sizeof(float));
}

TEST_F(Profile, EndsWhenItIsTaken) {
  profile_.start(s_);
  s_.fill(a_);
  EXPECT_EQ(profile_.take().size(), 1u);
  s_.fill(a_);
  EXPECT_TRUE(profile_.take().empty());
}

TEST_F(Profile, CountsTheOperationsOfProducts) {
  Tensor c = device_.tensor({24, 40});
  const Tensor a = device_.zeros({24, 56});
  const Tensor b = device_.zeros({56, 40});
  op::matmul(s_, c, a, b, op::Transpose::none, op::Into::replace);
  profile_.start(s_);
  op::matmul(s_, c, a, b, op::Transpose::none, op::Into::replace);
  double flops = 0;
  for (const TimedCommand& command : profile_.take()) flops += command.work.flops;
  EXPECT_EQ(flops, 2.0 * 24 * 40 * 56);
}

TEST_F(Profile, TellsStreamsApart) {
  Stream other(device_);
  s_.finish();
  profile_.start(s_);
  std::vector<float> values(size);
  const Event read = other.start_read(std::as_writable_bytes(std::span(values)), a_, 0);
  other.finish();
  const std::vector<TimedCommand> commands = profile_.take();
  ASSERT_EQ(commands.size(), 1u);
  EXPECT_EQ(commands[0].name, "read");
  EXPECT_EQ(commands[0].stream, 1u);
  EXPECT_TRUE(read.is_done());
}

/// As by CLBlast: what is enqueued on the queue itself.
TEST_F(Profile, TimesWhatOthersEnqueue) {
  profile_.start(s_);
  s_.enqueue_foreign("foreign", {.flops = 7}, {}, [&](std::span<const MemoryPlace>) {
    op::add(s_, a_, b_);
    op::add(s_, a_, b_);
  });
  const std::vector<TimedCommand> commands = profile_.take();
  ASSERT_EQ(commands.size(), 3u);
  EXPECT_EQ(commands[2].name, "foreign");
  EXPECT_EQ(commands[2].work.flops, 7);
  EXPECT_LE(commands[2].began, commands[0].began);
  EXPECT_GE(commands[2].ended, commands[1].ended);
}

}  // namespace
}  // namespace motley
