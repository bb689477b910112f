// What overlapping communication with backward is worth, and what exactness costs: the reference
// workload (bench/workload.h) with and without, step by step in turn. Alone: the speed of one
// process. JSON on standard output, a table on standard error.
//
//   bench_overlap --leaves 1 --sequences 8
//   mpirun -np 2 bench_overlap --leaves 2 --sequences 4
//
// bench/overlap.sh runs all that docs/results/comm.md shows.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cxxopts.hpp>
#include <nlohmann/json.hpp>
#include <optional>

#include "bench/workload.h"
#include "dist/job.h"
#include "launch/open_device.h"
#include "tensor/clock.h"
#include "tensor/error.h"
#include "train/train_step.h"

namespace motley::bench {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t warm_up_steps = 3;

struct Options {
  std::size_t steps = 0;
  std::size_t leaves = 0;
  std::size_t sequences = 0;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

/// The parts of a step's operations that fall between the end of computation and the update, by
/// bucket, in seconds: what the reduction of each adds to the step.
std::vector<double> exposed_by_bucket(const FlightSnapshot& flight, std::size_t num_buckets) {
  double computed = 0;
  double reduced = 0;
  for (const RecordedPhase& phase : flight.phases) {
    if (phase.phase == Phase::reduce) computed = phase.began;
    if (phase.phase == Phase::update) reduced = phase.began;
  }
  std::vector<double> seconds(num_buckets);
  for (const RecordedOperation& operation : flight.operations) {
    if (operation.bucket < 0 || operation.ended < 0) continue;
    const double began = std::max(operation.began, computed);
    const double ended = std::min(operation.ended, reduced);
    seconds.at(static_cast<std::size_t>(operation.bucket)) += std::max(0.0, ended - began);
  }
  return seconds;
}

/// One way to train, and what was measured of it.
class Variant {
 public:
  Variant(std::string name, Device& device, Communicator& comm, const ReducerOptions& options,
          const Options& sizes)
      : name_(std::move(name)),
        comm_(comm),
        sizes_(sizes),
        train_(device, comm, reference_workload().model, {}, {}, options),
        exposed_of_bucket_(train_.reducer().num_buckets()) {
    train_.initialize(1);
  }

  void step(std::uint64_t number) {
    const LeafPlan plan = even_plan(sizes_.leaves, train_.rank_order());
    const Batch batch = workload_batch(reference_workload(), number, sizes_.sequences);
    train_.decoder();  // what is left of the step before does not count
    train_.device().stream().finish();
    comm_.barrier();
    const auto start = Clock::now();
    const StepResult result = train_.run(plan, [&](std::size_t) { return Batch(batch); },
                                         {.learning_rate = 6e-4f, .step = number + 1});
    train_.decoder();
    train_.device().stream().finish();
    const double seconds = seconds_since(start);
    const double slowest =
        static_cast<double>(comm_.all_reduce_max(std::llround(seconds * 1e9))) * 1e-9;
    if (number >= warm_up_steps) observe(slowest, result);
  }

  ordered_json to_json() const {
    const double seconds = median(seconds_);
    const double tokens =
        static_cast<double>(sizes_.leaves * sizes_.sequences * reference_workload().T);
    ordered_json row{{"name", name_},
                     {"tokens_per_s", tokens / seconds},
                     {"step_s", seconds},
                     {"step_min_s", *std::min_element(seconds_.begin(), seconds_.end())},
                     {"compute_s", median(compute_)},
                     {"exposed_s", median(exposed_)},
                     {"wait_s", median(wait_)}};
    if (comm_.size() == 1) return row;
    for (std::size_t b = 0; b < exposed_of_bucket_.size(); ++b) {
      const ParamLayout::Bucket& bucket = buckets().at(b);
      const double mib =
          static_cast<double>((bucket.end - bucket.begin) * sizeof(float)) / (1 << 20);
      row["buckets"].push_back({{"mib", mib}, {"exposed_s", median(exposed_of_bucket_[b])}});
    }
    return row;
  }

 private:
  const std::vector<ParamLayout::Bucket>& buckets() const { return layout_.buckets; }

  /// compute, exposed and wait are means over ranks.
  void observe(double seconds, const StepResult& result) {
    StepTimes mean;
    const auto ranks = static_cast<double>(result.ranks.size());
    for (const RankStep& rank : result.ranks) {
      mean.compute += rank.times.compute / ranks;
      mean.exposed += rank.times.exposed / ranks;
      mean.wait += rank.times.wait / ranks;
    }
    seconds_.push_back(seconds);
    compute_.push_back(mean.compute);
    exposed_.push_back(mean.exposed);
    wait_.push_back(mean.wait);
    if (comm_.size() == 1) return;
    const auto exposed = exposed_by_bucket(comm_.recorder().snapshot(), exposed_of_bucket_.size());
    for (std::size_t b = 0; b < exposed.size(); ++b) exposed_of_bucket_[b].push_back(exposed[b]);
  }

  std::string name_;
  Communicator& comm_;
  const Options& sizes_;
  TrainStep train_;
  ParamLayout layout_ = param_layout(reference_workload().model);
  std::vector<double> seconds_;
  std::vector<double> compute_;
  std::vector<double> exposed_;
  std::vector<double> wait_;
  std::vector<std::vector<double>> exposed_of_bucket_;  // this rank's
};

void print(const ordered_json& root) {
  fmt::print(stderr, "{} ranks, {} leaves of {} sequences\n", root["ranks"].get<int>(),
             root["leaves"].get<std::size_t>(), root["sequences"].get<std::size_t>());
  for (const ordered_json& row : root["variants"]) {
    fmt::print(stderr,
               "{:<22} {:8.1f} tokens/s  step {:7.1f} ms  compute {:7.1f}  exposed {:6.1f}  wait "
               "{:6.1f}\n",
               row["name"].get<std::string>(), row["tokens_per_s"].get<double>(),
               row["step_s"].get<double>() * 1e3, row["compute_s"].get<double>() * 1e3,
               row["exposed_s"].get<double>() * 1e3, row["wait_s"].get<double>() * 1e3);
    if (!row.contains("buckets")) continue;
    fmt::print(stderr, "  reduction after the last gradient, by bucket, ms:");
    for (const ordered_json& bucket : row["buckets"])
      fmt::print(stderr, " {:.1f}", bucket["exposed_s"].get<double>() * 1e3);
    fmt::print(stderr, "\n");
  }
}

int run(Communicator& comm, const Options& options) {
  const auto device = launch::open_device(comm, {});
  std::vector<std::unique_ptr<Variant>> variants;
  const auto add = [&](const char* name, const ReducerOptions& reducer) {
    variants.push_back(std::make_unique<Variant>(name, *device, comm, reducer, options));
  };
  add(comm.size() > 1 ? "overlap" : "alone", {});
  if (comm.size() > 1) add("no overlap", {.overlap = false});
  if (options.leaves > static_cast<std::size_t>(comm.size())) add("not exact", {.exact = false});
  for (std::uint64_t step = 0; step < warm_up_steps + options.steps; ++step) {
    for (std::size_t i = 0; i < variants.size(); ++i)
      variants[(i + step) % variants.size()]->step(step);
  }
  ordered_json root{{"workload", "gpt2 L6 C384 H6 T256 V8192 fp32 adamw"},
                    {"device", device->info().name},
                    {"driver", device->info().driver},
                    {"ranks", comm.size()},
                    {"leaves", options.leaves},
                    {"sequences", options.sequences},
                    {"steps", options.steps}};
  for (const auto& variant : variants) root["variants"].push_back(variant->to_json());
  if (comm.rank() == 0) print(root);
  if (comm.rank() == 0) fmt::print("{}\n", root.dump(2));
  return 0;
}

std::optional<Options> parse(int argc, char** argv) {
  cxxopts::Options options("bench_overlap", "Training steps with and without overlap");
  const auto number = [](const char* value) {
    return cxxopts::value<std::size_t>()->default_value(value);
  };
  options.add_options()("steps", "measured steps", number("20"))(
      "leaves", "of a step, over all ranks", number("2"))("sequences", "of a leaf", number("4"))(
      "h,help", "this text");
  const auto parsed = options.parse(argc, argv);
  if (parsed.count("help") > 0) {
    fmt::print("{}", options.help());
    return std::nullopt;
  }
  const Options result{.steps = parsed["steps"].as<std::size_t>(),
                       .leaves = parsed["leaves"].as<std::size_t>(),
                       .sequences = parsed["sequences"].as<std::size_t>()};
  require<ConfigError>(result.steps > 0 && result.leaves > 0 && result.sequences > 0, "bench.usage",
                       "--steps, --leaves or --sequences is 0; give at least 1");
  return result;
}

}  // namespace
}  // namespace motley::bench

int main(int argc, char** argv) {
  const auto report = [](const std::exception& e) {
    fmt::print(stderr, "bench_overlap: {}\n", e.what());
  };
  try {
    const auto options = motley::bench::parse(argc, argv);
    if (!options) return 0;
    return motley::run_job(
        [&](motley::Communicator& comm) { return motley::bench::run(comm, *options); }, report);
  } catch (const std::exception& e) {
    report(e);
    return static_cast<int>(motley::ExitCode::usage);
  }
}
