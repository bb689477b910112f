#include "kernels/matrix_unit.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "kernels/gemm.h"
#include "tensor/clock.h"
#include "tensor/log.h"
#include "tensor/random.h"

namespace motley::op {
namespace {

// No multiple of a tile, a pair or a vector.
constexpr std::size_t test_M = 29;
constexpr std::size_t test_N = 71;
constexpr std::size_t test_K = 133;
// Sums of test_K products of numbers in [0, 1) differ by roundings: far less than this.
constexpr double tolerance = 1e-4;
// Long enough to be timed, short enough not to be noticed.
constexpr std::size_t timed_size = 384;
// Units that only pretend are slower many times over; other work on the machine must not decide.
constexpr int max_timed_runs = 8;
constexpr double much_slower = 1.5;

/// One product on its own tensors.
class Trial {
 public:
  Trial(Stream& s, std::size_t M, std::size_t N, std::size_t K, Transpose transpose)
      : s_(s),
        M_(M),
        N_(N),
        K_(K),
        transpose_(transpose),
        a_(numbers(transpose == Transpose::a ? Shape{K, M} : Shape{M, K}, 1)),
        b_(numbers(transpose == Transpose::b ? Shape{N, K} : Shape{K, N}, 2)),
        c_(s.device().tensor({M, N})) {}

  void run(MatrixUnit unit) {
    packed_bf16_gemm(unit).run(s_, {.c = c_,
                                    .a = a_,
                                    .b = b_,
                                    .bias = nullptr,
                                    .M = M_,
                                    .N = N_,
                                    .K = K_,
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
  std::size_t M_;
  std::size_t N_;
  std::size_t K_;
  Transpose transpose_;
  Tensor a_;
  Tensor b_;
  Tensor c_;
};

/// The largest difference between what a unit computes and what is computed without one.
double error_of(Stream& s, MatrixUnit unit, Transpose transpose) {
  Trial trial(s, test_M, test_N, test_K, transpose);
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
  Trial trial(s, timed_size, timed_size, timed_size, Transpose::b);
  double without = std::numeric_limits<double>::infinity();
  double with = std::numeric_limits<double>::infinity();
  for (int i = 0; i < max_timed_runs && with >= without; ++i) {
    without = std::min(without, trial.seconds(MatrixUnit::none));
    with = std::min(with, trial.seconds(unit));
  }
  return with / without;
}

/// Why a unit is not to be used, or "".
std::string find_fault(Stream& s, MatrixUnit unit) {
  try {
    for (const Transpose transpose : {Transpose::none, Transpose::a, Transpose::b}) {
      const double error = error_of(s, unit, transpose);
      if (!(error < tolerance)) return fmt::format("its products are wrong by {:.3g}", error);
    }
    const double slowness = slowness_of(s, unit);
    if (slowness > much_slower)
      return fmt::format("it takes {:.2f} times as long as doing without", slowness);
  } catch (const DeviceError& e) {
    return e.what();
  }
  return "";
}

MatrixUnit search(Stream& s) {
  const Device& device = s.device();
  const MatrixUnit unit = MatrixUnit::avx512_bf16;
  if (!device.may_use_matrix_units() || !is_offered(device.info(), unit)) return MatrixUnit::none;
  const std::string fault = find_fault(s, unit);
  if (fault.empty()) {
    log::debug("products of bf16 on {} use AVX-512 BF16", device.info().name);
    return unit;
  }
  log::warn("AVX-512 BF16 is reported by {} and is not used: {}", device.info().name, fault);
  return MatrixUnit::none;
}

}  // namespace

bool is_offered(const DeviceInfo& info, MatrixUnit unit) {
  if (unit == MatrixUnit::none) return true;
#ifdef __x86_64__
  // Kernels with x86 instructions in them are for a compiler that takes them and for this
  // processor.
  return info.kind == DeviceKind::cpu && info.platform == "Portable Computing Language" &&
         __builtin_cpu_supports("avx512bf16") != 0;
#else
  return false;
#endif
}

MatrixUnit find_matrix_unit(Stream& s) {
  Device& device = s.device();
  if (!device.matrix_unit()) s.without_recording([&] { device.set_matrix_unit(search(s)); });
  return *device.matrix_unit();
}

}  // namespace motley::op
