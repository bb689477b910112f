#include "kernels/peak.h"

#include <algorithm>

#include "kernels/generated.h"
#include "kernels/ops.h"
#include "tensor/clock.h"

namespace motley {
namespace {

// As in peak.cl and peak_amx_cpu.cl: a work-item's additions and multiplications in a round, of
// floats and of pairs.
constexpr std::size_t flops_per_round = std::size_t{10} * 16 * 2;
constexpr std::size_t flops_per_round_of_pairs = std::size_t{24} * 16 * 4;
constexpr std::size_t flops_per_round_of_amx = std::size_t{32} * 32 * 32 * 2;
constexpr int num_repeats = 5;
constexpr double long_enough_s = 0.02;  // against the cost of a launch

/// The shortest of several runs, in seconds, after one that builds the kernel.
template <class Run>
double best_seconds(Stream& s, Run run) {
  run();
  s.finish();
  double best = 1e30;
  for (int i = 0; i < num_repeats; ++i) {
    const auto began = Clock::now();
    run();
    s.finish();
    best = std::min(best, seconds_since(began));
  }
  return best;
}

/// Of a unit of a CPU, or without one.
double measure_flops(Device& device, MatrixUnit unit) {
  const auto start = [&](Stream& s, const Grid& grid, Tensor& y, std::uint32_t rounds) {
    if (unit == MatrixUnit::amx) return launch(s, grid, k::peak_amx_cpu{.y = y, .rounds = rounds});
    const Defines defines = multiplies_pairs(unit) ? Defines{{"X86_AVX512_BF16", 1}} : Defines{};
    launch(s, grid, k::peak_fma{.y = y, .x = 0.5f, .rounds = rounds}, defines);
  };
  const std::size_t per_round = unit == MatrixUnit::amx  ? flops_per_round_of_amx
                                : multiplies_pairs(unit) ? flops_per_round_of_pairs
                                                         : flops_per_round;
  const std::size_t local = device.family() == KernelFamily::gpu ? 64 : 1;
  const std::size_t groups = std::size_t{device.info().compute_units} * 16;
  Stream& s = device.stream();
  Tensor y = device.tensor({groups * local});
  std::uint32_t rounds = 1024;
  for (;;) {
    const double seconds = best_seconds(s, [&] {
      start(s, {.groups = {groups, 1, 1}, .local = {local, 1, 1}}, y, rounds);
    });
    if (seconds >= long_enough_s || rounds >= 1u << 30) {
      const double items = static_cast<double>(groups * local);
      return items * static_cast<double>(per_round) * rounds / seconds;
    }
    rounds *= 4;
  }
}

double measure_bytes(Device& device) {
  constexpr std::size_t wanted = std::size_t{64} << 20;  // bytes
  const std::size_t bytes = std::min(wanted, device.info().max_allocation / 4);
  Tensor y = device.zeros({bytes / sizeof(float)});
  const Tensor x = device.zeros({bytes / sizeof(float)});
  const double seconds = best_seconds(device.stream(), [&] { op::add(device.stream(), y, x); });
  return 3.0 * static_cast<double>(y.bytes()) / seconds;
}

}  // namespace

Peaks measure_peaks(Device& device) {
  const MatrixUnit unit = device.matrix_unit().value_or(MatrixUnit::none);
  return {.flops = measure_flops(device, unit),
          .dtype = multiplies_pairs(unit) ? Dtype::bf16 : Dtype::f32,
          .bytes = measure_bytes(device)};
}

}  // namespace motley
