// The products of a step of a workload (bench/workload.h) with all their packing, in turn with
// OpenBLAS where it is installed. JSON on standard output, a table on standard error.
//
//   bench_gemm [--workload w1] [--dtype f32] [--rounds 5] [--device auto] [--kernels auto]
//
// bf16 has no peer here; bench/torch_kernels.py measures PyTorch's.
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <cxxopts.hpp>
#include <map>
#include <nlohmann/json.hpp>

#include "bench/openblas.h"
#include "bench/paired.h"
#include "bench/run_options.h"
#include "bench/workload.h"
#include "dist/self_comm.h"
#include "kernels/peak.h"
#include "launch/open_device.h"
#include "model/products.h"
#include "tensor/clock.h"
#include "tests/hashed.h"

namespace motley::bench {
namespace {

using nlohmann::ordered_json;

/// One turn multiplies at least this much.
constexpr double flops_of_a_turn = 4e9;
/// What goes before a turn and does not count: by then the threads of the one before, which wait
/// for more work by spinning, sleep.
constexpr double warm_up_seconds = 0.06;

struct Options {
  const Workload& workload;
  Dtype dtype;
  std::size_t rounds;
};

/// As OpenBLAS's users call it: y = x w^T, dx = dy w, dw += dy^T x.
std::string_view form_of(Transpose transpose) {
  if (transpose == Transpose::a) return "TN";
  return transpose == Transpose::b ? "NT" : "NN";
}

std::vector<float> values(std::size_t size, std::uint32_t stream) {
  std::vector<float> result(size);
  for (std::size_t i = 0; i < size; ++i) {
    const std::uint32_t bits = test::hashed(stream, static_cast<std::uint32_t>(i));
    result[i] = static_cast<float>(bits >> 8) / 16777216.0f - 0.5f;
  }
  return result;
}

/// The matrices of a product, on the host and on the device.
class Operands {
 public:
  Operands(Stream& s, const GemmShape& p)
      : s_(s),
        p_(p),
        a_(values(p.M * p.K, 1)),
        b_(values(p.K * p.N, 2)),
        c_(p.M * p.N),
        // Weights are of weight_dtype, their gradients floats.
        device_a_(written(p.a_shape(), a_, p.dtype)),
        device_b_(written(p.b_shape(), b_, is_dw() ? p.dtype : weight_dtype(p.dtype))),
        device_c_(written({p.M, p.N}, c_, is_dw() ? Dtype::f32 : p.dtype)) {}

  void multiply() {
    op::matmul(s_, device_c_, device_a_, device_b_, p_.transpose,
               is_dw() ? op::Into::accumulate : op::Into::replace);
  }
  void multiply(const OpenBlas& blas) {
    blas.multiply(c_.data(), a_.data(), b_.data(), p_.M, p_.N, p_.K, is_dw(),
                  p_.transpose == Transpose::b, is_dw() ? 1.0f : 0.0f);
  }
  /// Both have multiplied once. Throws when they did not come to the same.
  void compare() {
    std::vector<float> ours(c_.size());
    s_.read<float>(ours, device_c_);
    const double bound = 1e-5 * std::sqrt(static_cast<double>(p_.K));
    for (std::size_t i = 0; i < c_.size(); ++i) {
      require<DeviceError>(
          std::abs(static_cast<double>(ours[i]) - static_cast<double>(c_[i])) < bound,
          "bench.product", "{} {} x {} x {}: element {} is {}, OpenBLAS says {}",
          form_of(p_.transpose), p_.M, p_.N, p_.K, i, ours[i], c_[i]);
    }
  }

 private:
  /// Then c is added to.
  bool is_dw() const { return p_.transpose == Transpose::a; }

  Tensor written(const Shape& shape, const std::vector<float>& from, Dtype dtype) {
    Tensor tensor = s_.device().tensor(shape);
    s_.write<float>(tensor, from);
    if (dtype == Dtype::f32) return tensor;
    Tensor rounded = s_.device().tensor(shape, dtype);
    op::cast(s_, rounded, tensor);
    return rounded;
  }

  Stream& s_;
  const GemmShape p_;
  std::vector<float> a_;
  std::vector<float> b_;
  std::vector<float> c_;
  Tensor device_a_;
  Tensor device_b_;
  Tensor device_c_;
};

/// Its time begins when it has run for a while.
Contender warmed_up(std::string name, std::function<void(std::size_t)> work) {
  const auto seconds = std::make_shared<double>(0);
  return {.name = std::move(name),
          .work =
              [work = std::move(work), seconds](std::size_t times) {
                const auto began = Clock::now();
                while (seconds_since(began) < warm_up_seconds) work(1);
                const auto start = Clock::now();
                work(times);
                *seconds = seconds_since(start) / static_cast<double>(times);
              },
          .seconds = [seconds] { return *seconds; }};
}

ordered_json measure(Communicator& comm, Stream& s, const Product& product, const OpenBlas* blas,
                     const Options& options) {
  const GemmShape& shape = product.shape;
  Operands operands(s, shape);
  std::vector<Contender> contenders{warmed_up("motley", [&](std::size_t times) {
    for (std::size_t i = 0; i < times; ++i) operands.multiply();
    s.finish();
  })};
  if (blas != nullptr) {
    operands.multiply();
    operands.multiply(*blas);
    operands.compare();
    contenders.push_back(warmed_up("openblas", [&](std::size_t times) {
      for (std::size_t i = 0; i < times; ++i) operands.multiply(*blas);
    }));
  }
  const auto times =
      std::max<std::size_t>(1, static_cast<std::size_t>(flops_of_a_turn / shape.flops()));
  const auto timings = time_paired(comm, contenders, options.rounds, times);
  ordered_json row{{"product", product.name},
                   {"form", form_of(shape.transpose)},
                   {"M", shape.M},
                   {"N", shape.N},
                   {"K", shape.K},
                   {"count", product.count},
                   {"seconds", timings[0].median()},
                   {"gflops", shape.flops() / timings[0].median() * 1e-9}};
  if (blas == nullptr) return row;
  const auto ratio = ratios(timings[0], timings[1]);
  row["openblas_seconds"] = timings[1].median();
  row["openblas_gflops"] = shape.flops() / timings[1].median() * 1e-9;
  row["ratio"] = median(ratio);
  row["ratio_least"] = ratio.front();
  row["ratio_most"] = ratio.back();
  return row;
}

void print(const ordered_json& row) {
  fmt::print(stderr, "{:<26} {:<3} {:6} {:6} {:6} {:9.1f}", row["product"].get<std::string>(),
             row["form"].get<std::string>(), row["M"].get<int>(), row["N"].get<int>(),
             row["K"].get<int>(), row["gflops"].get<double>());
  if (row.contains("ratio"))
    fmt::print(stderr, " {:9.1f} {:6.2f} {:5.2f} - {:.2f}", row["openblas_gflops"].get<double>(),
               row["ratio"].get<double>(), row["ratio_least"].get<double>(),
               row["ratio_most"].get<double>());
  fmt::print(stderr, "\n");
}

/// A step's products of each form, by their medians.
ordered_json totals(const ordered_json& rows, double peak) {
  struct Total {
    double flops = 0;
    double seconds = 0;
    double openblas_seconds = 0;
  };
  std::map<std::string, Total> by_form;
  for (const ordered_json& row : rows) {
    Total& total = by_form[row["form"].get<std::string>()];
    const double count = row["count"].get<double>();
    total.flops += count * row["gflops"].get<double>() * row["seconds"].get<double>() * 1e9;
    total.seconds += count * row["seconds"].get<double>();
    total.openblas_seconds += count * row.value("openblas_seconds", 0.0);
  }
  ordered_json result = ordered_json::array();
  for (const auto& [form, total] : by_form) {
    ordered_json entry{{"form", form},
                       {"gflops", total.flops / total.seconds * 1e-9},
                       {"of_peak", total.flops / total.seconds / peak}};
    if (total.openblas_seconds > 0) entry["ratio"] = total.openblas_seconds / total.seconds;
    fmt::print(stderr, "{:<3} of a step {:9.1f} GFLOP/s, {:3.0f} % of the peak", form,
               entry["gflops"].get<double>(), 100 * entry["of_peak"].get<double>());
    if (entry.contains("ratio"))
      fmt::print(stderr, ", {:.2f} of OpenBLAS", entry["ratio"].get<double>());
    fmt::print(stderr, "\n");
    result.push_back(entry);
  }
  return result;
}

int run(const Options& options, const DeviceChoiceSettings& choice) {
  SelfComm comm;
  const auto device = launch::open_device(comm, choice);
  std::optional<OpenBlas> blas;
  if (options.dtype == Dtype::f32) {
    blas = OpenBlas::find(static_cast<int>(device->info().compute_units));
    if (!blas)
      fmt::print(stderr, "no OpenBLAS to compare with: apt install {}\n", openblas_package);
  }
  ordered_json root{
      {"workload", options.workload.name}, {"dtype", name_of(options.dtype)},
      {"device", device->info().name},     {"driver", device->info().driver},
      {"rounds", options.rounds},          {"openblas", blas ? blas->version() : "none"},
      {"products", ordered_json::array()}};
  fmt::print(stderr, "{}, {}{}\n{:<26} {:<3} {:>6} {:>6} {:>6} {:>9} {:>9} {:>6}\n",
             options.workload.name, name_of(options.dtype), blas ? ", " + blas->version() : "",
             "product", "", "M", "N", "K", "GFLOP/s", blas ? "OpenBLAS" : "", blas ? "ratio" : "");
  const Workload& workload = options.workload;
  for (const Product& product :
       training_products(workload.model, workload.B, workload.T, options.dtype)) {
    root["products"].push_back(
        measure(comm, device->stream(), product, blas ? &*blas : nullptr, options));
    print(root["products"].back());
  }
  const Peaks peaks = measure_peaks(*device);
  root["peak_gflops"] = peaks.flops * 1e-9;
  root["peak_dtype"] = name_of(peaks.dtype);
  root["totals"] = totals(root["products"], peaks.flops);
  fmt::print("{}\n", root.dump(2));
  return 0;
}

}  // namespace
}  // namespace motley::bench

int main(int argc, char** argv) try {
  // Beside another library's threads Linux often leaves two of PoCL's on one core, for many
  // milliseconds after each turn. Read when PoCL starts; right for the only process of a machine.
  ::setenv("POCL_AFFINITY", "1", 0);
  cxxopts::Options options("bench_gemm", "Speed of the products of a training step");
  motley::bench::add_workload_option(options);
  options.add_options()("rounds", "of each product",
                        cxxopts::value<std::size_t>()->default_value("5"));
  motley::bench::add_dtype_option(options);
  motley::bench::add_device_options(options);
  const auto parsed = options.parse(argc, argv);
  if (parsed.count("help") > 0) {
    fmt::print("{}", options.help());
    return 0;
  }
  return motley::bench::run(
      {.workload = motley::bench::find_workload(parsed["workload"].as<std::string>()),
       .dtype = motley::bench::chosen_dtype(parsed),
       .rounds = std::max<std::size_t>(1, parsed["rounds"].as<std::size_t>())},
      motley::bench::device_choice(parsed));
} catch (const std::exception& e) {
  fmt::print(stderr, "bench_gemm: {}\n", e.what());
  return 1;
}
