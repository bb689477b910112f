// How fast a device's memory is reached, whether two queues work at once, and what waiting costs
// the processor.
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <thread>
#include <vector>

#include "bench/probe.h"
#include "kernels/generated.h"
#include "tensor/checked.h"
#include "tensor/clock.h"
#include "tensor/pinned_memory.h"

namespace motley::bench {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t mib = std::size_t{1} << 20;
constexpr std::size_t gib = std::size_t{1} << 30;

bool is_cpu(const Device& device) {
  return device.info().kind == DeviceKind::cpu;
}

/// Of the bytes that suit a GPU, what a CPU can do in a moment.
std::size_t scaled(const Device& device, std::size_t bytes) {
  return is_cpu(device) ? bytes / 16 : bytes;
}

/// Multiply-adds that take about `seconds` on `s`, in `groups` groups.
class Load {
 public:
  Load(Stream& s, std::size_t groups, double seconds)
      : s_(s), groups_(groups), y_(s.device().tensor({groups * local(s)})) {
    for (;;) {
      const double taken = best_seconds([&] {
        enqueue();
        s_.finish();
      });
      if (taken > 0.02 || rounds_ > (1u << 28)) {
        rounds_ =
            static_cast<std::uint32_t>(std::clamp(rounds_ * seconds / taken, 1.0, 4294967295.0));
        return;
      }
      rounds_ *= 4;
    }
  }
  void enqueue() {
    launch(s_, {.groups = {groups_, 1, 1}, .local = {local(s_), 1, 1}},
           k::peak_fma{.y = y_, .x = 0.5f, .rounds = rounds_}, {});
  }

 private:
  static std::size_t local(Stream& s) { return s.device().family() == KernelFamily::gpu ? 64 : 1; }
  Stream& s_;
  std::size_t groups_;
  Tensor y_;
  std::uint32_t rounds_ = 256;
};

ordered_json copies(Device& device, std::span<std::byte> host) {
  Stream& s = device.stream();
  const Tensor tensor = device.zeros({host.size() / sizeof(float)});
  const auto bytes = static_cast<double>(host.size());
  const double to_device = best_seconds([&] {
    s.start_write(tensor, 0, host);
    s.finish();
  });
  const double to_host = best_seconds([&] {
    s.start_read(host, tensor, 0);
    s.finish();
  });
  return {{"to_device_gb_per_s", bytes / to_device * 1e-9},
          {"to_host_gb_per_s", bytes / to_host * 1e-9}};
}

ordered_json ask_transfers(Device& device) {
  const std::size_t bytes = scaled(device, 256 * mib);
  std::vector<std::byte> pageable(bytes);
  PinnedMemory pinned(device.stream(), bytes);
  PinnedMemory block(device.stream(), 4 * mib);
  return {{"mib", bytes / mib},
          {"is_pinned", pinned.is_pinned()},
          {"pageable", copies(device, pageable)},
          {"pinned", copies(device, pinned.bytes())},
          {"pinned_4_mib", copies(device, block.bytes())}};
}

/// Seconds of two pieces of work alone and both at once, each on a queue of its own.
template <class A, class B>
ordered_json together(Stream& s, Stream& t, A first, B second) {
  const double alone = best_seconds([&] {
    first();
    s.finish();
  });
  const double other = best_seconds([&] {
    second();
    t.finish();
  });
  const double both = best_seconds([&] {
    first();
    s.flush();
    second();
    t.flush();
    s.finish();
    t.finish();
  });
  return {{"first_s", alone},
          {"second_s", other},
          {"both_s", both},
          // 1: the shorter one costs nothing; 0: one after the other.
          {"overlap", (alone + other - both) / std::min(alone, other)}};
}

ordered_json ask_queues(Device& device) {
  constexpr double seconds = 0.05;
  Stream& s = device.stream();
  Stream t(device);
  const std::size_t units = device.info().compute_units;
  Load whole(s, units * 16, seconds);
  Load half_a(s, std::max<std::size_t>(1, units / 2), seconds);
  Load half_b(t, std::max<std::size_t>(1, units / 2), seconds);
  const std::size_t bytes = scaled(device, 512 * mib);
  const Tensor from = device.zeros({bytes / sizeof(float)});
  PinnedMemory to_host(t, bytes);
  s.finish();
  return {{"kernel_and_copy",
           together(
               s, t, [&] { whole.enqueue(); }, [&] { t.start_read(to_host.bytes(), from, 0); })},
          {"two_small_kernels", together(
                                    s, t, [&] { half_a.enqueue(); }, [&] { half_b.enqueue(); })}};
}

/// Of this process, all threads.
double processor_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto of = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

/// Processor time of waiting, as a share of the time waited: 1 is a whole core.
template <class Wait>
ordered_json cost_of(Load& load, Stream& s, Wait wait) {
  load.enqueue();
  const Event done = s.mark();
  const auto start = Clock::now();
  const double before = processor_seconds();
  wait(done);
  const double waited = seconds_since(start);
  return {{"waited_s", waited}, {"cores", (processor_seconds() - before) / waited}};
}

ordered_json ask_waiting(Device& device) {
  Stream& s = device.stream();
  Load load(s, std::size_t{device.info().compute_units} * 16, is_cpu(device) ? 0.2 : 1.0);
  ordered_json answer;
  answer["finish"] = cost_of(load, s, [&](const Event&) { s.finish(); });
  answer["wait_for_event"] = cost_of(load, s, [](const Event& event) { event.wait(); });
  answer["ask_every_100_us"] = cost_of(load, s, [](const Event& event) {
    while (!event.is_done()) std::this_thread::sleep_for(std::chrono::microseconds(100));
  });
  Load tiny(s, 1, 1e-9);
  constexpr int num_launches = 2000;
  const double many = best_seconds([&] {
    for (int i = 0; i < num_launches; ++i) tiny.enqueue();
    s.finish();
  });
  const double one = best_seconds([&] {
    tiny.enqueue();
    s.finish();
  });
  answer["launch_us"] = many / num_launches * 1e6;
  answer["launch_and_finish_us"] = one * 1e6;
  return answer;
}

/// The first bytes that are not `expected` around `at`, or none.
bool holds(Stream& s, const Tensor& tensor, std::size_t at, std::byte expected) {
  std::array<std::byte, 4096> seen{};
  s.start_read(seen, tensor, at);
  s.finish();
  return std::all_of(seen.begin(), seen.end(), [&](std::byte b) { return b == expected; });
}

ordered_json ask_fill(Device& device) {
  const DeviceInfo& info = device.info();
  const std::size_t most = std::min(info.max_allocation, info.global_memory / 2);
  const std::size_t bytes = std::min(is_cpu(device) ? 256 * mib : 6 * gib, most) / mib * mib;
  ordered_json answer{{"max_allocation_gib", static_cast<double>(info.max_allocation) / gib},
                      {"global_memory_gib", static_cast<double>(info.global_memory) / gib},
                      {"filled_gib", static_cast<double>(bytes) / gib},
                      {"beyond_4_gib", bytes > 4 * gib}};
  Stream& s = device.stream();
  Tensor tensor = device.tensor({bytes}, Dtype::u8);
  bool right = true;
  double seconds = 0;
  for (const std::uint32_t value : {0xA5u, 0x5Au}) {
    const std::uint32_t pattern = value * 0x01010101u;
    seconds = best_seconds([&] {
      s.fill(tensor, pattern);
      s.finish();
    });
    for (const std::size_t at : {std::size_t{0}, 2 * gib - 2048, 4 * gib - 2048, bytes - 4096}) {
      if (at + 4096 <= bytes) right = right && holds(s, tensor, at, static_cast<std::byte>(value));
    }
  }
  answer["right"] = right;
  answer["gb_per_s"] = static_cast<double>(bytes) / seconds * 1e-9;
  return answer;
}

}  // namespace

std::span<const Probe> memory_probes() {
  static constexpr std::array probes{
      Probe{"transfers", "how fast are copies from and to pageable and pinned memory?",
            ask_transfers},
      Probe{"queues", "do two in-order queues work at once?", ask_queues},
      Probe{"waiting", "how much of a core does waiting take, and what does a launch cost?",
            ask_waiting},
      Probe{"fill", "does one buffer beyond 4 GiB fill, and hold what was written?", ask_fill}};
  return probes;
}

}  // namespace motley::bench
