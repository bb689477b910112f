// The speed of every op on the first OpenCL device, from the same descriptions as the tests, as
// JSON. bench_ops [--op NAME] [--family cpu|gpu] [--dtype f32|bf16|f16] [--repeats N] [--brief]
// --dtype bf16 and f16 run the cases that have activations in it.
// --brief runs each case's first size twice: does the benchmark still work?
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "tensor/clock.h"
#include "tests/ops/op_run.h"

namespace motley::test {
namespace {

constexpr std::size_t default_repeats = 20;
constexpr std::size_t warm_ups = 2;
constexpr std::string_view usage =
    "give --op NAME, --family cpu|gpu, --dtype f32|bf16|f16, --repeats N or --brief";

struct Options {
  std::string op;            // empty: all
  std::string family;        // empty: what suits the device
  Dtype dtype = Dtype::f32;  // of activations
  std::size_t repeats = default_repeats;
  bool brief = false;
};

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--brief") {
      options.brief = true;
      options.repeats = 2;
      continue;
    }
    require<ConfigError>(i + 1 < argc, "bench.usage", "'{}' is unknown or needs a value; {}", flag,
                         usage);
    const std::string value = argv[++i];
    if (flag == "--op") {
      options.op = value;
    } else if (flag == "--family" && (value == "cpu" || value == "gpu")) {
      options.family = value;
    } else if (flag == "--dtype" && (value == "f32" || value == "bf16" || value == "f16")) {
      options.dtype = value == "f32" ? Dtype::f32 : value == "bf16" ? Dtype::bf16 : Dtype::f16;
    } else if (flag == "--repeats" && std::atoi(value.c_str()) > 0) {
      options.repeats = static_cast<std::size_t>(std::atoi(value.c_str()));
    } else {
      fail<ConfigError>("bench.usage", "'{} {}' is no option; {}", flag, value, usage);
    }
  }
  return options;
}

/// Seconds of each repeat of `work`, sorted. The device is idle before and after each.
template <class Work>
std::vector<double> time(Device& device, std::size_t repeats, Work&& work) {
  std::vector<double> seconds;
  for (std::size_t i = 0; i < warm_ups + repeats; ++i) {
    device.stream().finish();
    const auto start = Clock::now();
    work();
    device.stream().finish();
    if (i >= warm_ups) seconds.push_back(seconds_since(start));
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds;
}

nlohmann::ordered_json report(const std::vector<double>& seconds, double flops, double bytes) {
  const double median = seconds[seconds.size() / 2];
  return {{"median_s", median},
          {"min_s", seconds.front()},
          {"max_s", seconds.back()},
          {"repeats", seconds.size()},
          {"gflops", flops / median * 1e-9},
          {"gbytes_per_s", bytes / median * 1e-9}};
}

nlohmann::ordered_json measure(Device& device, const OpCase& op_case, const Sizes& sizes,
                               const Options& options) {
  OpRun run(device, stored_as(options.dtype, op_case.make(sizes)));
  const Problem& p = run.problem();
  nlohmann::ordered_json row{
      {"op", op_case.name}, {"sizes", sizes}, {"dtype", name_of(options.dtype)}};
  row["forward"] = report(time(device, options.repeats, [&] { run.forward(); }), p.flops, p.bytes);
  if (p.run_backward) {
    const double flops = p.backward_flops > 0 ? p.backward_flops : 2 * p.flops;
    const double bytes = p.backward_bytes > 0 ? p.backward_bytes : 2 * p.bytes;
    row["backward"] = report(time(device, options.repeats, [&] { run.backward(); }), flops, bytes);
  }
  return row;
}

nlohmann::ordered_json run(const Options& options) {
  const std::vector<DeviceInfo> devices = list_devices();
  require<EnvironmentError>(!devices.empty(), "device.none", "{}", explain_no_devices());
  DeviceSettings settings = default_settings(devices.front());
  if (options.family == "cpu") settings.family = KernelFamily::cpu;
  if (options.family == "gpu") settings.family = KernelFamily::gpu;
  Device device(devices.front(), settings);
  const DeviceInfo& info = device.info();
  nlohmann::ordered_json result{{"device", info.name},
                                {"platform", info.platform},
                                {"driver", info.driver},
                                {"compute_units", info.compute_units},
                                {"family", device.family() == KernelFamily::cpu ? "cpu" : "gpu"}};
  auto& rows = result["results"] = nlohmann::ordered_json::array();
  for (const OpCase& op_case : all_cases()) {
    if (!options.op.empty() && op_case.name != options.op) continue;
    if (options.dtype != Dtype::f32 && !op_case.has_activations) continue;
    for (const Sizes& sizes : op_case.bench_sizes) {
      rows.push_back(measure(device, op_case, sizes, options));
      if (options.brief) break;
    }
  }
  require<ConfigError>(!rows.empty(), "bench.op",
                       "no case named '{}' has benchmark sizes for {}; see {}", options.op,
                       name_of(options.dtype), "tests/ops/*_case.cpp for the names");
  return result;
}

}  // namespace
}  // namespace motley::test

int main(int argc, char** argv) try {
  std::puts(motley::test::run(motley::test::parse(argc, argv)).dump(2).c_str());
  return 0;
} catch (const motley::Error& e) {
  std::fprintf(stderr, "bench_ops: %s\n", e.what());
  return static_cast<int>(e.exit_code());
} catch (const std::exception& e) {
  std::fprintf(stderr, "bench_ops: %s\n", e.what());
  return static_cast<int>(motley::ExitCode::internal);
}
