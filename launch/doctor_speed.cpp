// The straggler probe: the same product of matrices on every rank's device at once.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "kernels/ops.h"
#include "launch/doctor_devices.h"
#include "tensor/clock.h"
#include "tensor/error.h"

namespace motley::launch {
namespace {

constexpr std::size_t most_leaves = 32;

/// Element (i, j) of a product of n x n matrices whose first has rows of i mod 7 and whose second
/// has columns of j mod 5 + 1: exact in f32, and another one at most other places.
float product_at(std::size_t i, std::size_t j, std::size_t n) {
  return static_cast<float>(n * (i % 7) * (j % 5 + 1));
}

/// Seconds of one product of n x n matrices, the best of three; checks the result.
double time_product(Device& device, std::size_t n) {
  Stream& s = device.stream();
  Tensor a = device.tensor({n, n});
  Tensor b = device.tensor({n, n});
  Tensor c = device.tensor({n, n});
  std::vector<float> values(n * n);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i / n % 7);
  s.write<float>(a, values);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % n % 5 + 1);
  s.write<float>(b, values);
  double best_s = 1e9;
  for (int round = 0; round < 3; ++round) {
    s.finish();
    const auto start = Clock::now();
    op::matmul(s, c, a, b, op::Transpose::none, op::Into::replace);
    s.finish();
    best_s = std::min(best_s, seconds_since(start));
  }
  s.read<float>(values, c);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float expected = product_at(i / n, i % n, n);
    require<DeviceError>(
        values[i] == expected, "device.wrong",
        "a product of {0} x {0} matrices on {1} has {2} where {3} is right; update "
        "its driver, or leave the device out with --device",
        n, device.info().name, values[i], expected);
  }
  return best_s;
}

/// Whole leaves in proportion to speeds: the next always to the rank that would be done first.
std::vector<std::size_t> suggest_split(const std::vector<double>& speeds, std::size_t leaves) {
  std::vector<std::size_t> counts(speeds.size(), 0);
  for (std::size_t leaf = 0; leaf < leaves; ++leaf) {
    std::size_t next = 0;
    const auto end_of = [&](std::size_t r) {
      return speeds[r] > 0 ? static_cast<double>(counts[r] + 1) / speeds[r] : 1e300;
    };
    for (std::size_t r = 1; r < speeds.size(); ++r) {
      if (end_of(r) < end_of(next)) next = r;
    }
    ++counts[next];
  }
  return counts;
}

/// Ranks that have the same device as others and are much slower than the best of them.
std::string find_stragglers(const std::vector<double>& speeds,
                            const std::vector<std::string>& devices) {
  constexpr double least = 0.7;  // of the best of the same kind
  std::map<std::string, double> best;
  for (std::size_t r = 0; r < speeds.size(); ++r)
    best[devices[r]] = std::max(best[devices[r]], speeds[r]);
  std::vector<std::string> slow;
  for (std::size_t r = 0; r < speeds.size(); ++r) {
    if (speeds[r] < least * best[devices[r]]) slow.push_back(fmt::format("rank {}", r));
  }
  return fmt::format("{}", fmt::join(slow, ", "));
}

}  // namespace

double measure_speed(const DeviceInfo& info) {
  constexpr double long_enough_s = 0.05;
  constexpr std::size_t largest = 4096;
  Device device(info);
  double speed = 0;
  for (std::size_t n = 32; n <= largest; n *= 2) {
    const double spent_s = time_product(device, n);
    const auto size = static_cast<double>(n);
    speed = 2 * size * size * size / spent_s / 1e9;
    if (spent_s > long_enough_s) break;
  }
  return speed;
}

Findings check_speeds(Communicator& comm, const PlacedDevice* placed) {
  double mine = 0;
  Findings failure;
  comm.barrier();  // all at once, as in training: ranks of one host may get in each other's way
  if (placed != nullptr) {
    failure = run_check("speed", [&]() -> Findings {
      mine = measure_speed(placed->info);
      return {};
    });
  }
  std::vector<double> speeds(static_cast<std::size_t>(comm.size()));
  comm.all_gather(std::as_writable_bytes(std::span(speeds)), std::as_bytes(std::span(&mine, 1)));
  // A CPU's cores are part of what it is.
  const std::string device =
      placed == nullptr ? "" : fmt::format("{} {}", placed->info.name, placed->info.compute_units);
  const std::vector<std::string> devices = comm.all_gather_text(device);
  Findings findings;
  for (const std::string& text : comm.all_gather_text(to_text(failure))) {
    for (Finding& finding : findings_from_text(text)) findings.push_back(std::move(finding));
  }
  std::vector<std::string> parts;
  for (std::size_t r = 0; r < speeds.size(); ++r)
    parts.push_back(fmt::format("rank {} {:.1f}", r, speeds[r]));
  const std::string slow = find_stragglers(speeds, devices);
  findings.push_back({slow.empty() ? Verdict::ok : Verdict::warn, "speed",
                      fmt::format("GFLOP/s in products of matrices: {}", fmt::join(parts, ", ")),
                      slow.empty() ? ""
                                   : slow + " slower than others with the same device: look for "
                                            "other programs (top), heat and power limits"});
  if (comm.size() > 1) {
    const std::size_t leaves = std::max(most_leaves, 2 * speeds.size());
    findings.push_back({Verdict::ok, "split",
                        fmt::format("of {} micro-batches of a step: {} (training measures again)",
                                    leaves, fmt::join(suggest_split(speeds, leaves), " + ")),
                        ""});
  }
  return findings;
}

}  // namespace motley::launch
