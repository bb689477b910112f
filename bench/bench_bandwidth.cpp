// The ops that memory limits, each in turn with additions of long vectors: what share of the
// memory's bandwidth they reach. Additions write besides what they read, which a CPU's bus carries
// at the same time, so an op that only reads is compared as well with op::chunk_squares, the
// fastest of those. JSON on standard output, a table on standard error.
//
//   bench_bandwidth [--op adamw] [--mib 128] [--rounds 9] [--device auto] [--kernels auto]
#include <fmt/format.h>

#include <cxxopts.hpp>
#include <nlohmann/json.hpp>

#include "bench/bandwidth_rows.h"
#include "bench/paired.h"
#include "bench/run_options.h"
#include "dist/self_comm.h"
#include "kernels/ops.h"
#include "launch/open_device.h"

namespace motley::bench {
namespace {

using nlohmann::ordered_json;

/// Repeats of one turn, so that the caches hold what the op itself leaves there.
constexpr std::size_t times = 2;

struct Options {
  std::string op;  // empty: all
  std::size_t mib = 0;
  std::size_t rounds = 0;
};

/// Of each round: what share of the bytes a second that `limit` moved a row did.
std::vector<double> shares(const BandwidthRow& row, const Timing& timing, const Timing& limit,
                           double limit_bytes) {
  std::vector<double> result = ratios(timing, limit);
  for (double& share : result) share *= row.bytes / limit_bytes;
  return result;
}

ordered_json measure(Communicator& comm, Device& device, const BandwidthRow& row,
                     const Options& options) {
  Stream& s = device.stream();
  const std::size_t elements = (options.mib << 20) / sizeof(float);
  Tensor y = device.zeros({elements});
  const Tensor x = device.zeros({elements});
  const auto repeat = [&s](const std::function<void()>& run) {
    return [&s, run](std::size_t n) {
      for (std::size_t i = 0; i < n; ++i) run();
      s.finish();
    };
  };
  const Shape chunks{(elements + op::squares_chunk - 1) / op::squares_chunk};
  Tensor squares = device.zeros(chunks);
  Tensor counts = device.zeros(chunks);
  std::vector<Contender> contenders{{"additions", repeat([&] { op::add(s, y, x); })},
                                    {row.name, repeat(row.run)}};
  if (row.only_reads)
    contenders.push_back({"reads", repeat([&] { op::chunk_squares(s, squares, counts, x); })});
  s.finish();
  const auto timings = time_paired(comm, contenders, options.rounds, times);
  const double added_bytes = 3.0 * static_cast<double>(y.bytes());
  const std::vector<double> of_additions = shares(row, timings[1], timings[0], added_bytes);
  ordered_json result{
      {"op", row.name},
      {"dtype", name_of(row.dtype)},
      {"mbytes", row.bytes * 1e-6},
      {"gbytes_per_s", row.bytes / timings[1].median() * 1e-9},
      {"additions_gbytes_per_s", added_bytes / timings[0].median() * 1e-9},
      {"share", median(of_additions)},
      {"share_least", of_additions.front()},
      {"share_most", of_additions.back()},
      {"share_with_allocation", median(of_additions) * (1 + row.allocated / row.bytes)}};
  if (row.only_reads) {
    const auto read_bytes = static_cast<double>(x.bytes());
    const std::vector<double> of_reads = shares(row, timings[1], timings[2], read_bytes);
    result["reads_gbytes_per_s"] = read_bytes / timings[2].median() * 1e-9;
    result["share_of_reads"] = median(of_reads);
    result["share_of_reads_least"] = of_reads.front();
    result["share_of_reads_most"] = of_reads.back();
  }
  return result;
}

void print(const ordered_json& row) {
  fmt::print(stderr, "{:<28} {:<5} {:8.1f} {:10.1f} {:7.0f}% {:4.0f} - {:3.0f}% {:10.0f}%",
             row["op"].get<std::string>(), row["dtype"].get<std::string>(),
             row["gbytes_per_s"].get<double>(), row["additions_gbytes_per_s"].get<double>(),
             100 * row["share"].get<double>(), 100 * row["share_least"].get<double>(),
             100 * row["share_most"].get<double>(),
             100 * row["share_with_allocation"].get<double>());
  if (row.contains("share_of_reads")) {
    fmt::print(stderr, " {:8.1f} {:7.0f}% {:4.0f} - {:3.0f}%",
               row["reads_gbytes_per_s"].get<double>(), 100 * row["share_of_reads"].get<double>(),
               100 * row["share_of_reads_least"].get<double>(),
               100 * row["share_of_reads_most"].get<double>());
  }
  fmt::print(stderr, "\n");
}

int run(const Options& options, const DeviceChoiceSettings& choice) {
  SelfComm comm;
  const auto device = launch::open_device(comm, choice);
  ordered_json root{{"device", device->info().name},
                    {"driver", device->info().driver},
                    {"mib", options.mib},
                    {"rounds", options.rounds},
                    {"results", ordered_json::array()}};
  fmt::print(stderr, "{:<28} {:<5} {:>8} {:>10} {:>8} {:>11} {:>11} {:>8} {:>8}\n", "op", "dtype",
             "GB/s", "additions", "share", "", "allocating", "reads", "share");
  for (const BandwidthRowMaker& make : bandwidth_rows((options.mib << 20) / sizeof(float))) {
    const BandwidthRow row = make(*device);
    if (!options.op.empty() && row.name != options.op) continue;
    root["results"].push_back(measure(comm, *device, row, options));
    print(root["results"].back());
  }
  require<ConfigError>(!root["results"].empty(), "bench.op",
                       "no op '{}'; without --op all are measured and named", options.op);
  fmt::print("{}\n", root.dump(2));
  return 0;
}

}  // namespace
}  // namespace motley::bench

int main(int argc, char** argv) try {
  cxxopts::Options options("bench_bandwidth", "Shares of the memory's bandwidth");
  options.add_options()("op", "only this one", cxxopts::value<std::string>()->default_value(""))(
      "mib", "of a tensor of floats; several times the last cache",
      cxxopts::value<std::size_t>()->default_value("128"))(
      "rounds", "of each op", cxxopts::value<std::size_t>()->default_value("9"));
  motley::bench::add_device_options(options);
  const auto parsed = options.parse(argc, argv);
  if (parsed.count("help") > 0) {
    fmt::print("{}", options.help());
    return 0;
  }
  return motley::bench::run(
      {.op = parsed["op"].as<std::string>(),
       .mib = std::max<std::size_t>(1, parsed["mib"].as<std::size_t>()),
       .rounds = std::max<std::size_t>(1, parsed["rounds"].as<std::size_t>())},
      motley::bench::device_choice(parsed));
} catch (const std::exception& e) {
  fmt::print(stderr, "bench_bandwidth: {}\n", e.what());
  return 1;
}
