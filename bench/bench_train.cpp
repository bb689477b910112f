// Trains a workload (bench/workload.h) for a fixed number of steps with AdamW and clipping, and
// prints its speed, its losses and the device's measured peaks as JSON.
//
//   bench_train [--workload w1] [--steps 20] [--dtype f32] [--recompute none] [--device auto]
//               [--kernels auto]
//
// bench/torch_train.py runs the same under PyTorch; bench/compare.sh both, bench/memory.sh for
// memory.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cxxopts.hpp>
#include <nlohmann/json.hpp>
#include <vector>

#include "bench/run_options.h"
#include "bench/workload.h"
#include "dist/self_comm.h"
#include "kernels/peak.h"
#include "launch/open_device.h"
#include "tensor/clock.h"
#include "train/train_step.h"

namespace motley {
namespace {

constexpr std::size_t warm_up_steps = 3;

double peak_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024;
}

Recompute recompute_of(const std::string& name) {
  if (name == "none") return Recompute::none;
  if (name == "attention") return Recompute::attention;
  require<ConfigError>(name == "block", "bench.recompute",
                       "'{}' cannot be computed again; give none, attention or block", name);
  return Recompute::block;
}

int run(const bench::Workload& workload, std::size_t steps, const DecoderOptions& decoder,
        const DeviceChoiceSettings& choice) {
  SelfComm comm;
  const auto device = launch::open_device(comm, choice);
  TrainStep train(*device, comm, workload.model, decoder, {});
  bench::set_workload_weights(train);
  std::vector<double> seconds;
  std::vector<double> losses;
  LossScale scale;  // matters in f16 alone
  for (std::size_t step = 0; step < warm_up_steps + steps; ++step) {
    const Batch batch = bench::workload_batch(workload, step, workload.B);
    const auto start = Clock::now();
    const StepResult result =
        train.run(even_plan(1, train.rank_order()), [&](std::size_t) { return Batch(batch); },
                  {.learning_rate = 6e-4f,
                   .step = step + 1,
                   .skipped = scale.skipped,
                   .loss_scale = scale.scale});
    scale.after_step(result.non_finite == 0);
    device->stream().finish();
    if (step >= warm_up_steps) seconds.push_back(seconds_since(start));
    losses.push_back(result.loss);
  }
  const double process_bytes = peak_resident_bytes();
  const std::size_t device_bytes = device->pool().statistics().peak_in_use;
  std::sort(seconds.begin(), seconds.end());
  const double median = seconds[seconds.size() / 2];
  const auto tokens = static_cast<double>(workload.B * workload.T);
  const double flops = flops_per_token(workload.model, workload.T) * tokens;
  const Peaks peaks = measure_peaks(*device);
  nlohmann::ordered_json root{{"workload", workload.name},
                              {"model", workload.text},
                              {"dtype", name_of(decoder.dtype)},
                              {"device", device->info().name},
                              {"driver", device->info().driver},
                              {"steps", steps},
                              {"tokens_per_s", tokens / median},
                              {"tokens_per_s_best", tokens / seconds.front()},
                              {"tokens_per_s_worst", tokens / seconds.back()},
                              {"step_seconds", median},
                              {"gflop_per_token", flops / tokens / 1e9},
                              {"gflop_per_s", flops / median / 1e9},
                              {"peak_gflop_per_s", peaks.flops / 1e9},
                              {"peak_gb_per_s", peaks.bytes / 1e9},
                              {"first_loss", losses.front()},
                              {"last_loss", losses.back()},
                              {"device_peak_bytes", device_bytes},
                              {"process_peak_bytes", process_bytes}};
  fmt::print("{}\n", root.dump(2));
  return 0;
}

}  // namespace
}  // namespace motley

int main(int argc, char** argv) try {
  cxxopts::Options options("bench_train", "Speed of one training step");
  motley::bench::add_workload_option(options);
  options.add_options()("steps", "measured steps",
                        cxxopts::value<std::size_t>()->default_value("20"))(
      "recompute", "what backward computes again: none, attention or block",
      cxxopts::value<std::string>()->default_value("none"));
  motley::bench::add_dtype_option(options);
  motley::bench::add_device_options(options);
  const auto parsed = options.parse(argc, argv);
  if (parsed.count("help") > 0) {
    fmt::print("{}", options.help());
    return 0;
  }
  return motley::run(motley::bench::find_workload(parsed["workload"].as<std::string>()),
                     std::max<std::size_t>(1, parsed["steps"].as<std::size_t>()),
                     {.recompute = motley::recompute_of(parsed["recompute"].as<std::string>()),
                      .dtype = motley::bench::chosen_dtype(parsed)},
                     motley::bench::device_choice(parsed));
} catch (const std::exception& e) {
  fmt::print(stderr, "bench_train: {}\n", e.what());
  return 1;
}
