// What a GPU and its driver can do that no manual tells: a line of JSON for each question of
// bench/probe.h.
//
//   probe [NAME...] [--list] [--device auto] [--kernels auto]
//
// Without names all are asked, in this process; bench/gpu.sh asks each in a process of its own.
#include "bench/probe.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <cxxopts.hpp>
#include <string>
#include <vector>

#include "bench/run_options.h"
#include "dist/self_comm.h"
#include "launch/open_device.h"
#include "tensor/clock.h"

namespace motley::bench {
namespace {

using nlohmann::ordered_json;

std::vector<Probe> all_probes() {
  std::vector<Probe> all;
  for (const auto probes : {speed_probes(), compiler_probes(), memory_probes()})
    all.insert(all.end(), probes.begin(), probes.end());
  return all;
}

void ask(const Probe& probe, Device& device) {
  ordered_json line{{"probe", probe.name}, {"question", probe.question}};
  const auto start = Clock::now();
  try {
    line.update(probe.ask(device));
  } catch (const Error& e) {
    line["failed"] = fmt::format("[{}] {}", e.code(), e.what());
  }
  line["seconds"] = seconds_since(start);
  // Build logs and names come from the driver, in whatever encoding.
  fmt::print("{}\n", line.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
  std::fflush(stdout);
}

int run(const std::vector<std::string>& names, const DeviceChoiceSettings& choice) {
  std::vector<Probe> chosen;
  for (const Probe& probe : all_probes()) {
    if (names.empty() || std::find(names.begin(), names.end(), probe.name) != names.end())
      chosen.push_back(probe);
  }
  require<ConfigError>(!chosen.empty() && (names.empty() || chosen.size() == names.size()),
                       "bench.probe", "one of {} is no probe; --list names them all",
                       fmt::join(names, ", "));
  SelfComm comm;
  const auto device = launch::open_device(comm, choice);
  for (const Probe& probe : chosen) ask(probe, *device);
  return 0;
}

}  // namespace
}  // namespace motley::bench

int main(int argc, char** argv) try {
  cxxopts::Options options("probe", "Questions to a new device and its driver");
  options.add_options()("names", "of the questions; none: all",
                        cxxopts::value<std::vector<std::string>>()->default_value({}))(
      "list", "prints their names");
  motley::bench::add_device_options(options);
  options.parse_positional({"names"});
  options.positional_help("[NAME...]");
  const auto parsed = options.parse(argc, argv);
  if (parsed.count("help") > 0) {
    fmt::print("{}", options.help());
    return 0;
  }
  if (parsed.count("list") > 0) {
    for (const auto& probe : motley::bench::all_probes()) fmt::print("{}\n", probe.name);
    return 0;
  }
  std::vector<std::string> names;
  if (parsed.count("names") > 0) names = parsed["names"].as<std::vector<std::string>>();
  return motley::bench::run(names, motley::bench::device_choice(parsed));
} catch (const std::exception& e) {
  fmt::print(stderr, "probe: {}\n", e.what());
  return 1;
}
