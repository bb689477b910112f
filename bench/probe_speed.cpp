// What the device says of itself, and how fast it multiplies matrices by each of the ways there
// are.
#include <array>

#include "bench/probe.h"
#include "bench/probe_clblast.h"
#include "kernels/gemm.h"
#include "kernels/matrix_unit.h"
#include "kernels/peak.h"
#include "tensor/random.h"

namespace motley::bench {
namespace {

using nlohmann::ordered_json;

template <class T>
T info_of(const Device& device, cl_device_info what, T otherwise) {
  T value{};
  return device.info().handle.getInfo(what, &value) == CL_SUCCESS ? value : otherwise;
}

ordered_json ask_device(Device& device) {
  const DeviceInfo& info = device.info();
  ordered_json answer{{"name", info.name},
                      {"vendor", info.vendor},
                      {"platform", info.platform},
                      {"version", info.version},
                      {"driver", info.driver},
                      {"identity", info.identity},
                      {"kind", to_string(info.kind)},
                      {"family", device.family() == KernelFamily::cpu ? "cpu" : "gpu"},
                      {"compute_units", info.compute_units},
                      {"max_work_group", info.max_work_group},
                      {"global_memory", info.global_memory},
                      {"max_allocation", info.max_allocation},
                      {"local_memory", info.local_memory},
                      {"unified_memory", info.unified_memory},
                      {"nvidia_capability", info.matrix_hints.nvidia_capability}};
  answer["clock_mhz"] = info_of<cl_uint>(device, CL_DEVICE_MAX_CLOCK_FREQUENCY, 0);
  answer["cache_bytes"] = info.cache_bytes;
  answer["extensions"] = info_of<std::string>(device, CL_DEVICE_EXTENSIONS, "");
  const Peaks peaks = measure_peaks(device);
  answer["peak_gflops"] = peaks.flops * 1e-9;
  answer["peak_gb_per_s"] = peaks.bytes * 1e-9;
  return answer;
}

/// GFLOP/s of products of n x n.
template <class Run>
double gflops(Stream& s, std::size_t n, Run run) {
  const double seconds = best_seconds([&] {
    run();
    s.finish();
  });
  const auto size = static_cast<double>(n);
  return 2 * size * size * size / seconds * 1e-9;
}

/// c[n, n] = a * b.
op::GemmProblem square(Tensor& c, const Tensor& a, const Tensor& b, std::size_t n,
                       op::Transpose transpose = op::Transpose::none) {
  return {.c = c,
          .a = a,
          .b = b,
          .bias = nullptr,
          .M = n,
          .N = n,
          .K = n,
          .transpose = transpose,
          .into = op::Into::replace};
}

/// [n, n] uniform numbers: products of zeros need less power, and a GPU then runs faster.
Tensor numbers(Stream& s, std::size_t n, Dtype dtype) {
  Tensor values = s.device().tensor({n, n});
  op::random_uniform(s, values, Random(1, Purpose::test, 1));
  if (dtype == Dtype::f32) return values;
  Tensor rounded = s.device().tensor({n, n}, dtype);
  op::cast(s, rounded, values);
  return rounded;
}

std::size_t size_for(const Device& device) {
  return device.info().kind == DeviceKind::cpu ? 512 : 4096;
}

ordered_json ask_matrix_unit(Device& device) {
  Stream& s = device.stream();
  const std::size_t n = size_for(device);
  // Tried first: what fails is a line of the log.
  const MatrixUnit unit = op::find_matrix_unit(s);
  const Tensor a = numbers(s, n, Dtype::bf16);
  const Tensor b = numbers(s, n, Dtype::bf16);
  Tensor c = device.zeros({n, n});
  ordered_json answer{{"unit", op::name_of(unit)}, {"size", n}};
  for (const MatrixUnit of : {unit, MatrixUnit::none}) {
    for (const auto& [transpose, form] :
         {std::pair{op::Transpose::none, "NN"}, std::pair{op::Transpose::b, "NT"},
          std::pair{op::Transpose::a, "TN"}}) {
      const op::GemmProblem problem = square(c, a, b, n, transpose);
      answer["gflops"][std::string(op::name_of(of))][form] =
          gflops(s, n, [&] { op::bf16_gemm(device.family(), of).run(s, problem); });
    }
  }
  return answer;
}

ordered_json ask_clblast(Device& device) {
  if (device.info().kind == DeviceKind::cpu)
    return {
        {"skipped", "on a CPU it builds its kernels for most of a minute, and nothing uses it"}};
  Stream& s = device.stream();
  const std::size_t n = size_for(device);
  const Tensor a = numbers(s, n, Dtype::f32);
  const Tensor b = numbers(s, n, Dtype::f32);
  Tensor c = device.zeros({n, n});
  const op::GemmProblem problem = square(c, a, b, n);
  ordered_json answer{{"size", n}};
  answer["sgemm_gflops"] = gflops(s, n, [&] { op::clblast_gemm().run(s, problem); });
  answer["tiled_gflops"] = gflops(s, n, [&] { op::tiled_gemm().run(s, problem); });
  try {
    answer["hgemm_gflops"] = gflops(s, n, [&] { clblast_hgemm(s, c, a, b, n); });
  } catch (const DeviceError& e) {
    answer["hgemm_error"] = e.what();
  }
  return answer;
}

}  // namespace

std::span<const Probe> speed_probes() {
  static constexpr std::array probes{
      Probe{"device", "what is it, and what are its peaks?", ask_device},
      Probe{"matrix_unit", "which matrix unit passes its test, and how fast is bf16?",
            ask_matrix_unit},
      Probe{"clblast", "how fast are CLBlast's SGEMM and HGEMM, and our tiles?", ask_clblast}};
  return probes;
}

}  // namespace motley::bench
