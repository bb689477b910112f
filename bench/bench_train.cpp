// Trains the reference workload for a fixed number of steps and prints its speed as JSON: GPT-2
// style, 6 layers, width 384, 6 heads, T = 256, vocabulary 8192, batch 8, fp32, AdamW with
// clipping, random tokens.
//
//   bench_train [--steps 20] [--device auto] [--kernels auto]
//
// bench/torch_train.py runs the same under PyTorch.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cxxopts.hpp>
#include <nlohmann/json.hpp>
#include <vector>

#include "bench/workload.h"
#include "dist/self_comm.h"
#include "launch/open_device.h"
#include "tensor/clock.h"
#include "train/train_step.h"

namespace motley {
namespace {

constexpr std::size_t warm_up_steps = 3;
constexpr std::size_t B = 8;
constexpr std::size_t T = bench::workload_length;

double peak_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024;
}

int run(std::size_t steps, const DeviceChoiceSettings& choice) {
  SelfComm comm;
  const auto device = launch::open_device(comm, choice);
  const ModelConfig model = bench::workload_model();
  TrainStep train(*device, comm, model, Recompute::none, {});
  train.initialize(1);
  std::vector<double> seconds;
  StepResult result;
  for (std::size_t step = 0; step < warm_up_steps + steps; ++step) {
    const Batch batch = bench::workload_batch(step, B);
    const auto start = Clock::now();
    result = train.run(even_plan(1, train.rank_order()), [&](std::size_t) { return Batch(batch); },
                       {.learning_rate = 6e-4f, .step = step + 1});
    device->stream().finish();
    if (step >= warm_up_steps) seconds.push_back(seconds_since(start));
  }
  std::sort(seconds.begin(), seconds.end());
  const double median = seconds[seconds.size() / 2];
  const double flops = flops_per_token(model, T) * B * T;
  nlohmann::ordered_json root{{"workload", "gpt2 L6 C384 H6 T256 V8192 B8 fp32 adamw"},
                              {"device", device->info().name},
                              {"driver", device->info().driver},
                              {"steps", steps},
                              {"tokens_per_s",
                               {{"median", B * T / median},
                                {"best", B * T / seconds.front()},
                                {"worst", B * T / seconds.back()}}},
                              {"step_seconds", median},
                              {"gflop_per_s", flops / median / 1e9},
                              {"loss", result.loss},
                              {"device_peak_bytes", device->pool().statistics().peak_in_use},
                              {"process_peak_bytes", peak_resident_bytes()}};
  fmt::print("{}\n", root.dump(2));
  return 0;
}

}  // namespace
}  // namespace motley

int main(int argc, char** argv) try {
  cxxopts::Options options("bench_train", "Speed of one training step of the reference workload");
  options.add_options()("steps", "measured steps",
                        cxxopts::value<std::size_t>()->default_value("20"))(
      "device", "as --device.use of motley train",
      cxxopts::value<std::string>()->default_value("auto"))(
      "kernels", "auto, cpu or gpu", cxxopts::value<std::string>()->default_value("auto"))(
      "h,help", "this text");
  const auto parsed = options.parse(argc, argv);
  if (parsed.count("help") > 0) {
    fmt::print("{}", options.help());
    return 0;
  }
  motley::DeviceChoiceSettings choice;
  choice.use = parsed["device"].as<std::string>();
  choice.kernels = parsed["kernels"].as<std::string>();
  return motley::run(std::max<std::size_t>(1, parsed["steps"].as<std::size_t>()), choice);
} catch (const std::exception& e) {
  fmt::print(stderr, "bench_train: {}\n", e.what());
  return 1;
}
