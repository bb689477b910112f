#include "tensor/program.h"

#include <gtest/gtest.h>

#include <thread>

#include "tensor/device_info.h"
#include "tensor/error.h"
#include "tensor/log.h"
#include "tests/scratch_directory.h"

namespace motley {
namespace {

constexpr KernelArg one_argument[] = {{"x", "float*"}};
constexpr KernelInfo good{"fill_one", "one.cl",
                          "kernel void fill_one(global float* x) { x[0] = VALUE; }", one_argument,
                          1};
constexpr KernelInfo other{"fill_two", "one.cl",
                           "kernel void fill_two(global float* x) { x[0] = 2; }", one_argument, 1};
constexpr KernelInfo bad{"broken", "broken.cl",
                         "kernel void broken(global float* x) { x[0] = missing_name; }",
                         one_argument, 1};
const Defines value_is_one{{"VALUE", 1}};

/// A context, and caches in a directory of the test's own.
class Programs : public testing::Test {
 protected:
  ProgramCache cache_in(const io::Path& directory) { return {context, device, directory}; }

  static void expect_kernel(const cl::Program& program, const KernelInfo& info) {
    cl_int code = CL_SUCCESS;
    const cl::Kernel kernel(program, info.name, &code);
    EXPECT_EQ(code, CL_SUCCESS) << info.name;
  }
  /// The only file of the cache.
  io::Path file() const { return scratch.path() / "cache" / io::list(scratch / "cache").at(0); }

  cl::Device device = list_devices().at(0).handle;
  cl::Context context{device};
  ScratchDirectory scratch;
};

/// What is logged while `action` runs.
template <class Action>
std::string logged(const Action& action) {
  const ScratchDirectory scratch;
  log::set_console_level(log::Level::error);
  log::open_file(scratch / "log");
  action();
  log::flush();
  return io::read_text(scratch / "log");
}

TEST_F(Programs, AreKeptOnDiskAndLoadedFromThere) {
  expect_kernel(cache_in(scratch / "cache").get(good, value_is_one), good);
  const auto before = scratch.contents();
  EXPECT_EQ(before.size(), 1u);
  ProgramCache second = cache_in(scratch / "cache");
  EXPECT_EQ(logged([&] { expect_kernel(second.get(good, value_is_one), good); }), "");
  EXPECT_EQ(scratch.contents(), before);
}

TEST_F(Programs, DifferBySourceAndDefinitions) {
  ProgramCache cache = cache_in(scratch / "cache");
  const cl::Program first = cache.get(good, value_is_one);
  EXPECT_EQ(cache.get(good, value_is_one)(), first()) << "built once";
  EXPECT_NE(cache.get(good, {{"VALUE", 2}})(), first());
  expect_kernel(cache.get(other, value_is_one), other);
  EXPECT_EQ(scratch.contents().size(), 3u);
}

TEST_F(Programs, ADamagedFileIsReplaced) {
  cache_in(scratch / "cache").get(good, value_is_one);
  const std::string whole = io::read_text(file());
  std::string flipped = whole;
  flipped[flipped.size() / 2] = static_cast<char>(flipped[flipped.size() / 2] ^ 1);
  for (const std::string& damaged : {std::string(), whole.substr(0, 5), whole.substr(0, 8),
                                     whole.substr(0, whole.size() - 1), whole + "x", flipped}) {
    io::write_text_atomically(file(), damaged);
    ProgramCache cache = cache_in(scratch / "cache");
    const std::string lines = logged([&] { expect_kernel(cache.get(good, value_is_one), good); });
    expect_mentions(lines, "not usable");
    EXPECT_NE(io::read_text(file()), damaged);
    ProgramCache after = cache_in(scratch / "cache");
    EXPECT_EQ(logged([&] { expect_kernel(after.get(good, value_is_one), good); }), "");
  }
}

TEST_F(Programs, ADirectoryThatCannotBeMadeOnlyWarns) {
  const io::Path blocked = scratch.write("file", "") / "cache";
  const std::string lines = logged([&] {
    ProgramCache cache = cache_in(blocked);
    expect_kernel(cache.get(good, value_is_one), good);
  });
  expect_mentions(lines, "warning");
  expect_mentions(lines, blocked.parent_path().string());
}

TEST_F(Programs, ADirectoryThatVanishesWarnsOnce) {
  ProgramCache cache = cache_in(scratch / "cache");
  io::remove_all(scratch / "cache");
  expect_mentions(logged([&] { expect_kernel(cache.get(good, value_is_one), good); }), "warning");
  EXPECT_EQ(logged([&] { expect_kernel(cache.get(other, {}), other); }), "");
}

TEST_F(Programs, WithoutADirectoryAreBuiltAsWell) {
  expect_kernel(cache_in({}).get(good, value_is_one), good);
}

TEST_F(Programs, ABuildErrorShowsTheFileTheOptionsAndTheLog) {
  ProgramCache cache = cache_in(scratch / "cache");
  for (int attempt = 0; attempt < 2; ++attempt) {
    const std::string message = message_of<DeviceError>([&] { cache.get(bad, {{"VALUE", 3}}); });
    expect_mentions(message, "broken.cl");
    expect_mentions(message, "-DVALUE=3");
    expect_mentions(message, "missing_name");
  }
  EXPECT_EQ(scratch.contents().size(), 0u);
}

TEST_F(Programs, ServeThreadsAtOnce) {
  ProgramCache first = cache_in(scratch / "cache");
  ProgramCache second = cache_in(scratch / "cache");  // as another device of the process has
  const auto ask = [](ProgramCache& cache) {
    expect_kernel(cache.get(other, {}), other);
    expect_kernel(cache.get(good, value_is_one), good);
  };
  const std::string lines = logged([&] {
    std::vector<std::thread> threads;
    for (ProgramCache* cache : {&first, &first, &second}) {
      threads.emplace_back([&ask, cache] { ask(*cache); });
    }
    for (std::thread& thread : threads) thread.join();
  });
  EXPECT_EQ(lines, "");
  EXPECT_EQ(scratch.contents().size(), 2u);
}

TEST(Defines, BecomeOptionsInOrder) {
  EXPECT_EQ(Defines().options(), "");
  EXPECT_EQ((Defines{{"HEAD_DIM", 64}, {"LOWEST", -5}}.options()), " -DHEAD_DIM=64 -DLOWEST=-5");
  EXPECT_LT((Defines{{"A", 1}}), (Defines{{"A", 2}}));
  EXPECT_LT((Defines{{"A", 2}}), (Defines{{"B", 1}}));
  EXPECT_FALSE((Defines{{"A", 1}}) < (Defines{{"A", 1}}));
}

}  // namespace
}  // namespace motley
