// The exchange of gradients and parameters against MPI_Allreduce, against this host's memory and
// against what the network allows. Under mpirun; JSON on standard output, a table on standard
// error.
//
//   mpirun -np 2 bench_comm [--sizes 1,4,16,56] [--repeats 15] [--algorithms 3,4,5,6]
//
// --link-mbit says how fast the hosts' links are; the bound of a reduce-scatter and all-gather is
// printed beside what was reached. bench/comm.sh runs all that docs/scaling.md shows.
#include <fmt/format.h>

#include <cxxopts.hpp>
#include <nlohmann/json.hpp>
#include <optional>

#include "bench/exchanges.h"
#include "bench/mpi_allreduce.h"
#include "bench/paired.h"
#include "dist/job.h"
#include "launch/open_device.h"
#include "tensor/error.h"

namespace motley::bench {
namespace {

using nlohmann::ordered_json;

struct Options {
  std::vector<std::size_t> sizes;  // MiB
  std::size_t repeats = 0;
  std::vector<int> algorithms;
  double link_mbit = 0;
  std::string only;  // part of the names of what is timed; empty: all
  bool with_device = false;
};

/// What one run moves at least this often takes long enough to be timed.
constexpr std::size_t bytes_a_timing = std::size_t{64} << 20;

/// All that is timed at one size. Members live as long as the contenders that use them.
class SizeBench {
 public:
  SizeBench(Communicator& comm, Device* device, std::size_t mib, const Options& options)
      : comm_(comm), options_(options), bytes_(mib << 20), size_(bytes_ / sizeof(float)) {
    const Topology topology = find_topology(comm);
    num_hosts_ = topology.hosts.size();
    const bool shares_memory = num_hosts_ < topology.host_of.size();
    add_host("ours", {}, Split::aligned);
    add_host("ours, uneven leaves", {}, Split::uneven);
    if (num_hosts_ > 1) add_host("ours, bf16 wire", {.wire = Wire::bf16}, Split::aligned);
    if (shares_memory) add_host("ours, messages only", {.shared_memory = false}, Split::aligned);
    if (num_hosts_ == 1) add_memory_work();
    if (device != nullptr) add_device(*device);
    add_mpi();
    std::erase_if(contenders_, [&](const Contender& contender) {
      return contender.name.find(options.only) == std::string::npos;
    });
    require<ConfigError>(!contenders_.empty(), "bench.only", "nothing is called '{}'",
                         options.only);
  }

  ordered_json run() {
    // Over a slow link a single time is long enough.
    const std::size_t times =
        options_.link_mbit > 0 ? 1 : std::max<std::size_t>(1, bytes_a_timing / bytes_);
    const std::vector<Timing> timings = time_paired(comm_, contenders_, options_.repeats, times);
    ordered_json result{{"mib", bytes_ >> 20}};
    if (bound() > 0) result["bound_s"] = bound();
    result["reduce_share"] = hosts_.front()->reduce_share();
    if (memory_) {
      for (const Timing& timing : timings) {
        if (timing.name == memory_name)
          result["memory_gbytes_per_s"] = memory_->bytes() * comm_.size() / timing.median() * 1e-9;
      }
    }
    for (const Timing& timing : timings) result["times"].push_back(timing.to_json());
    return result;
  }

 private:
  static constexpr const char* memory_name = "memory work alone";

  void add_host(const std::string& name, const ExchangeOptions& options, Split split) {
    hosts_.push_back(std::make_unique<HostExchange>(comm_, size_, options, split));
    hosts_.back()->check();
    contenders_.push_back(
        {name, [exchange = hosts_.back().get()](std::size_t times) { exchange->run(times); }});
  }

  void add_memory_work() {
    memory_.emplace(size_, static_cast<std::size_t>(comm_.size()));
    contenders_.push_back({memory_name, [this](std::size_t times) { memory_->run(times); }});
  }

  void add_device(Device& device) {
    device_.emplace(device, comm_, size_, ExchangeOptions{});
    contenders_.push_back({"ours, device", [this](std::size_t times) { device_->run(times); },
                           [this] { return device_->seconds(); }});
  }

  void add_mpi() {
    values_.assign(size_, 1);
    for (const int algorithm : options_.algorithms) {
      mpi_.push_back(std::make_unique<MpiAllreduce>(comm_, algorithm));
      const std::string name =
          algorithm == 0 ? "MPI_Allreduce" : fmt::format("MPI_Allreduce {}", algorithm);
      contenders_.push_back({name, [this, mpi = mpi_.back().get()](std::size_t times) {
                               comm_.run([&] {
                                 for (std::size_t i = 0; i < times; ++i) mpi->sum(values_);
                               });
                             }});
    }
  }

  /// Seconds for a reduce-scatter and an all-gather in which every host sends and receives each
  /// part but its own once.
  double bound() const {
    const double fraction = 1 - 1 / static_cast<double>(num_hosts_);
    return options_.link_mbit > 0
               ? 2 * fraction * static_cast<double>(bytes_) / (options_.link_mbit * 1e6 / 8)
               : 0;
  }

  Communicator& comm_;
  const Options& options_;
  std::size_t bytes_;
  std::size_t size_;
  std::size_t num_hosts_ = 1;
  std::vector<std::unique_ptr<HostExchange>> hosts_;
  std::optional<MemoryWork> memory_;
  std::optional<DeviceExchange> device_;
  std::vector<float> values_;
  std::vector<std::unique_ptr<MpiAllreduce>> mpi_;
  std::vector<Contender> contenders_;
};

void print_rows(const ordered_json& result) {
  const double first = result["times"][0]["median_s"];
  for (const ordered_json& row : result["times"]) {
    const double median = row["median_s"];
    fmt::print(stderr, "{:>5} MiB  {:<22} {:10.3f} ms {:8.2f} GB/s {:7.2f} x first",
               result["mib"].get<std::size_t>(), row["name"].get<std::string>(), median * 1e3,
               result["mib"].get<double>() * (1 << 20) / median * 1e-9, median / first);
    if (result.contains("bound_s"))
      fmt::print(stderr, " {:6.2f} x bound", median / result["bound_s"].get<double>());
    fmt::print(stderr, "\n");
  }
}

int run(Communicator& comm, const Options& options) {
  require<ConfigError>(comm.size() > 1, "bench.ranks",
                       "one process has nothing to exchange; start it with mpirun -np N");
  std::unique_ptr<Device> device;
  if (options.with_device) device = launch::open_device(comm, {});
  const Topology topology = find_topology(comm);
  ordered_json root{{"ranks", comm.size()}, {"hosts", topology.hosts.size()}};
  comm.run([&] { root["mpi"] = mpi_library(); });
  if (options.link_mbit > 0) root["link_mbit"] = options.link_mbit;
  if (device) root["device"] = device->info().name;
  if (comm.rank() == 0)
    fmt::print(stderr, "{} ranks on {} hosts\n", comm.size(), topology.hosts.size());
  for (const std::size_t mib : options.sizes) {
    const ordered_json result = SizeBench(comm, device.get(), mib, options).run();
    if (comm.rank() == 0) print_rows(result);
    root["sizes"].push_back(result);
  }
  if (comm.rank() == 0) fmt::print("{}\n", root.dump(2));
  return 0;
}

/// No value when only help was asked for.
std::optional<Options> parse(int argc, char** argv) {
  cxxopts::Options options("bench_comm", "Speed of the exchange between ranks; run under mpirun");
  options.add_options()(
      "sizes", "MiB of gradients, separated by commas",
      cxxopts::value<std::vector<std::size_t>>()->default_value("1,4,16,56,128,512"))(
      "repeats", "timings of each", cxxopts::value<std::size_t>()->default_value("15"))(
      "algorithms", "of MPI_Allreduce, by Open MPI's numbers; 0: its own choice",
      cxxopts::value<std::vector<int>>()->default_value("0,3,4,5,6"))(
      "link-mbit", "speed of each host's link, for the bound",
      cxxopts::value<double>()->default_value("0"))(
      "only", "time what has this in its name", cxxopts::value<std::string>()->default_value(""))(
      "with-device", "also on each rank's OpenCL device")("h,help", "this text");
  const auto parsed = options.parse(argc, argv);
  if (parsed.count("help") > 0) {
    fmt::print("{}", options.help());
    return std::nullopt;
  }
  Options result{.sizes = parsed["sizes"].as<std::vector<std::size_t>>(),
                 .repeats = parsed["repeats"].as<std::size_t>(),
                 .algorithms = parsed["algorithms"].as<std::vector<int>>(),
                 .link_mbit = parsed["link-mbit"].as<double>(),
                 .only = parsed["only"].as<std::string>(),
                 .with_device = parsed.count("with-device") > 0};
  require<ConfigError>(result.repeats > 0, "bench.usage", "--repeats is 0; give at least 1");
  for (const std::size_t mib : result.sizes)
    require<ConfigError>(mib > 0 && mib < 8192, "bench.usage",
                         "--sizes has {}; give MiB from 1 to 8191", mib);
  return result;
}

}  // namespace
}  // namespace motley::bench

int main(int argc, char** argv) {
  const auto report = [](const std::exception& e) {
    fmt::print(stderr, "bench_comm: {}\n", e.what());
  };
  try {
    const auto options = motley::bench::parse(argc, argv);
    if (!options) return 0;
    motley::bench::allow_choice_of_algorithm();
    return motley::run_job(
        [&](motley::Communicator& comm) { return motley::bench::run(comm, *options); }, report);
  } catch (const std::exception& e) {
    report(e);
    return static_cast<int>(motley::ExitCode::usage);
  }
}
