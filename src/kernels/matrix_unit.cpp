#include "kernels/matrix_unit.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "kernels/gemm.h"
#include "tensor/clock.h"
#include "tensor/cpu_features.h"
#include "tensor/log.h"
#include "tensor/random.h"

namespace motley::op {
namespace {

struct Sizes {
  std::size_t M;
  std::size_t N;
  std::size_t K;
};

// No multiple of a tile, a pair or a vector; and rows that are read by whole vectors.
constexpr std::array<Sizes, 2> tested{{{29, 71, 133}, {168, 136, 200}}};
// Sums of K products of numbers in [0, 1) differ by roundings: far less than this.
constexpr double tolerance_of_cpu = 1e-4;
// Units of GPUs may cut off where others round: by K times this at most. What is in the wrong place
// makes far more.
constexpr double tolerance_of_gpu = 1e-5;
// Long enough to be timed, short enough not to be noticed.
constexpr std::size_t timed_size_of_cpu = 384;
constexpr std::size_t timed_size_of_gpu = 2048;
// Units that only pretend are slower many times over; other work on the machine must not decide.
constexpr int max_timed_runs = 8;
constexpr double much_slower = 1.5;

/// One product on its own tensors.
class Trial {
 public:
  Trial(Stream& s, const Sizes& sizes, Transpose transpose)
      : s_(s),
        sizes_(sizes),
        transpose_(transpose),
        a_(numbers(transpose == Transpose::a ? Shape{sizes.K, sizes.M} : Shape{sizes.M, sizes.K},
                   1)),
        b_(numbers(transpose == Transpose::b ? Shape{sizes.N, sizes.K} : Shape{sizes.K, sizes.N},
                   2)),
        c_(s.device().tensor({sizes.M, sizes.N})) {}

  void run(MatrixUnit unit) {
    bf16_gemm(s_.device().family(), unit)
        .run(s_, {.c = c_,
                  .a = a_,
                  .b = b_,
                  .bias = nullptr,
                  .M = sizes_.M,
                  .N = sizes_.N,
                  .K = sizes_.K,
                  .transpose = transpose_,
                  .into = Into::replace});
  }

  std::vector<float> result(MatrixUnit unit) {
    run(unit);
    std::vector<float> values(c_.size());
    s_.read(std::span(values), c_);
    return values;
  }

  double seconds(MatrixUnit unit) {
    s_.finish();
    const auto start = Clock::now();
    run(unit);
    s_.finish();
    return seconds_since(start);
  }

 private:
  Tensor numbers(const Shape& shape, std::uint64_t salt) {
    Tensor values = s_.device().tensor(shape);
    random_uniform(s_, values, Random(1, Purpose::test, salt));
    Tensor rounded = s_.device().tensor(shape, Dtype::bf16);
    cast(s_, rounded, values);
    return rounded;
  }

  Stream& s_;
  Sizes sizes_;
  Transpose transpose_;
  Tensor a_;
  Tensor b_;
  Tensor c_;
};

/// The largest difference between what a unit computes and what is computed without one.
double error_of(Stream& s, MatrixUnit unit, const Sizes& sizes, Transpose transpose) {
  Trial trial(s, sizes, transpose);
  const std::vector<float> expected = trial.result(MatrixUnit::none);
  const std::vector<float> actual = trial.result(unit);
  double largest = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double error =
        std::abs(static_cast<double>(actual[i]) - static_cast<double>(expected[i]));
    largest =
        std::isfinite(error) ? std::max(largest, error) : std::numeric_limits<double>::infinity();
  }
  return largest;
}

/// How many times as long as without a unit products take with it: of the shortest of some runs of
/// each, in turn, as many as it takes to see that it is faster.
double slowness_of(Stream& s, MatrixUnit unit) {
  const std::size_t size =
      s.device().family() == KernelFamily::cpu ? timed_size_of_cpu : timed_size_of_gpu;
  Trial trial(s, {size, size, size}, Transpose::b);
  double without = std::numeric_limits<double>::infinity();
  double with = std::numeric_limits<double>::infinity();
  for (int i = 0; i < max_timed_runs && with >= without; ++i) {
    without = std::min(without, trial.seconds(MatrixUnit::none));
    with = std::min(with, trial.seconds(unit));
  }
  return with / without;
}

/// In what a unit's products are wrong, or "".
std::string find_wrong_product(Stream& s, MatrixUnit unit) {
  for (const Sizes& sizes : tested) {
    const double tolerance = s.device().family() == KernelFamily::cpu
                                 ? tolerance_of_cpu
                                 : tolerance_of_gpu * static_cast<double>(sizes.K);
    for (const Transpose transpose : {Transpose::none, Transpose::a, Transpose::b}) {
      const double error = error_of(s, unit, sizes, transpose);
      if (!(error < tolerance)) return fmt::format("its products are wrong by {:.3g}", error);
    }
  }
  return "";
}

/// Why a unit is not to be used, or "".
std::string find_fault(Stream& s, MatrixUnit unit) {
  try {
    std::string wrong = find_wrong_product(s, unit);
    // Which attention uses beside AMX.
    if (wrong.empty() && unit == MatrixUnit::amx)
      wrong = find_wrong_product(s, MatrixUnit::avx512_bf16);
    if (!wrong.empty()) return wrong;
    const double slowness = slowness_of(s, unit);
    if (slowness > much_slower)
      return fmt::format("it takes {:.2f} times as long as doing without", slowness);
  } catch (const DeviceError& e) {
    return e.what();
  }
  return "";
}

/// Of a family's kernels, the best first.
std::span<const MatrixUnit> units_for(KernelFamily family) {
  static constexpr std::array of_cpu{MatrixUnit::amx, MatrixUnit::avx512_bf16};
  static constexpr std::array of_gpu{MatrixUnit::nvidia_mma, MatrixUnit::intel_xmx_16,
                                     MatrixUnit::intel_xmx_8, MatrixUnit::amd_wmma,
                                     MatrixUnit::amd_mfma};
  if (family == KernelFamily::cpu) return of_cpu;
  return of_gpu;
}

/// Kernels with x86 instructions in them are for a compiler that takes them and for this processor.
bool takes_x86(const DeviceInfo& info) {
  return info.kind == DeviceKind::cpu && info.platform == "Portable Computing Language";
}

MatrixUnit search(Stream& s) {
  const Device& device = s.device();
  if (!device.may_use_matrix_units()) return MatrixUnit::none;
  for (const MatrixUnit unit : units_for(device.family())) {
    if (!is_offered(device.info(), unit)) continue;
    const std::string fault = find_fault(s, unit);
    if (fault.empty()) {
      log::debug("products of bf16 on {} use {}", device.info().name, name_of(unit));
      return unit;
    }
    log::warn("{} is reported by {} and is not used: {}", name_of(unit), device.info().name, fault);
  }
  return MatrixUnit::none;
}

}  // namespace

std::string_view name_of(MatrixUnit unit) {
  switch (unit) {
    case MatrixUnit::none:
      return "no matrix unit";
    case MatrixUnit::avx512_bf16:
      return "AVX-512 BF16";
    case MatrixUnit::amx:
      return "AMX";
    case MatrixUnit::nvidia_mma:
      return "tensor cores";
    case MatrixUnit::intel_xmx_8:
    case MatrixUnit::intel_xmx_16:
      return "XMX";
    case MatrixUnit::amd_wmma:
      return "WMMA";
    case MatrixUnit::amd_mfma:
      return "MFMA";
  }
  return "?";
}

bool is_offered(const DeviceInfo& info, MatrixUnit unit) {
  const MatrixUnitHints& hints = info.matrix_hints;
  const bool is_gpu = info.kind == DeviceKind::gpu;
  switch (unit) {
    case MatrixUnit::none:
      return true;
    case MatrixUnit::avx512_bf16:
      return takes_x86(info) && has_avx512_bf16();
    case MatrixUnit::amx:
      return takes_x86(info) && has_avx512_bf16() && may_use_amx_bf16();
    case MatrixUnit::nvidia_mma:
      return is_gpu && hints.nvidia_capability >= 8;
    case MatrixUnit::intel_xmx_8:
      return is_gpu && hints.intel_matrix_sub_group == 8;
    case MatrixUnit::intel_xmx_16:
      return is_gpu && hints.intel_matrix_sub_group == 16;
    case MatrixUnit::amd_wmma:
      return is_gpu && hints.amd_architecture.starts_with("gfx11");
    case MatrixUnit::amd_mfma:
      return is_gpu && (hints.amd_architecture == "gfx90a" || hints.amd_architecture == "gfx940" ||
                        hints.amd_architecture == "gfx941" || hints.amd_architecture == "gfx942" ||
                        hints.amd_architecture == "gfx950");
  }
  return false;
}

MatrixUnit find_matrix_unit(Stream& s) {
  Device& device = s.device();
  if (!device.matrix_unit()) s.without_recording([&] { device.set_matrix_unit(search(s)); });
  return *device.matrix_unit();
}

}  // namespace motley::op
