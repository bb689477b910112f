// motley devices: every OpenCL device of this machine once.
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "dist/placement.h"
#include "dist/placement_devices.h"
#include "dist/placement_near.h"
#include "launch/command.h"
#include "tensor/device_info.h"
#include "tensor/error.h"

namespace motley::launch {
namespace {

double gibibytes(std::size_t bytes) {
  return static_cast<double>(bytes) / (1 << 30);
}

void print_text(const std::vector<DeviceInfo>& devices) {
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const DeviceInfo& info = devices[i];
    const std::string features =
        info.features.empty() ? "none of note" : fmt::format("{}", fmt::join(info.features, " "));
    std::string identity = info.pci.empty() ? "no PCI address" : "pci:" + info.pci;
    if (!info.uuid.empty()) identity += ", uuid " + info.uuid;
    const std::vector<int> near = processors_near(info.pci, pci_devices_directory);
    if (!near.empty()) identity += ", near processors " + format_processor_list(near);
    if (!info.other_platforms.empty())
      identity += fmt::format(", also shown by {}", fmt::join(info.other_platforms, ", "));
    fmt::print(
        "{}  {}  {}\n"
        "    identity  {}\n"
        "    memory    {:.1f} GiB, {:.1f} GiB in one buffer, {} KiB local{}\n"
        "    units     {} compute units, work-groups up to {}\n"
        "    features  {}\n"
        "    driver    {}, {}, {}\n",
        i, to_string(info.kind), info.name, identity, gibibytes(info.global_memory),
        gibibytes(info.max_allocation), info.local_memory / 1024,
        info.unified_memory ? ", shared with the host" : "", info.compute_units,
        info.max_work_group, features, info.platform, info.version, info.driver);
  }
}

void print_json(const std::vector<DeviceInfo>& devices) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const DeviceInfo& info = devices[i];
    list.push_back({{"index", i},
                    {"kind", to_string(info.kind)},
                    {"name", info.name},
                    {"vendor", info.vendor},
                    {"platform", info.platform},
                    {"version", info.version},
                    {"driver", info.driver},
                    {"identity", info.identity},
                    {"pci", info.pci},
                    {"uuid", info.uuid},
                    {"near_processors", processors_near(info.pci, pci_devices_directory)},
                    {"other_platforms", info.other_platforms},
                    {"global_memory", info.global_memory},
                    {"max_allocation", info.max_allocation},
                    {"local_memory", info.local_memory},
                    {"local_memory_is_fast", info.local_memory_is_fast},
                    {"unified_memory", info.unified_memory},
                    {"compute_units", info.compute_units},
                    {"max_work_group", info.max_work_group},
                    {"features", info.features}});
  }
  // Drivers' names may hold any bytes; they are replaced rather than refused.
  constexpr auto lenient = nlohmann::ordered_json::error_handler_t::replace;
  fmt::print("{}\n", list.dump(2, ' ', false, lenient));
}

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "localhost";
}

/// For launch/local.sh.
void print_count(const std::vector<DeviceInfo>& devices, const std::string& spec) {
  const DeviceList list = DeviceSpec::parse(spec).list_for(host_name());
  const std::size_t count = count_ranks(devices, list, num_cpu_ranks());
  require<EnvironmentError>(count > 0, "device.none",
                            "no device of this host is '{}'\n  fix: see motley devices",
                            fmt::join(list, ","));
  fmt::print("{}\n", count);
}

}  // namespace

int command_devices(Arguments arguments) {
  cxxopts::Options options("motley devices",
                           "Lists every OpenCL device of this machine once, with its index for "
                           "--device index:N.\n");
  options.add_options()("json", "print JSON")(
      "count", "print only how many ranks suit this host: one for each device")(
      "device", "for --count: what the ranks will be told to use",
      cxxopts::value<std::string>()->default_value("auto"));
  const auto parsed = parse_options(options, arguments);
  if (!parsed) return 0;

  const std::vector<DeviceInfo> devices = list_devices();
  require<EnvironmentError>(!devices.empty(), "device.none", "{}", explain_no_devices());
  if (parsed->count("count") > 0) {
    print_count(devices, (*parsed)["device"].as<std::string>());
  } else if (parsed->count("json") > 0) {
    print_json(devices);
  } else {
    print_text(devices);
  }
  return 0;
}

}  // namespace motley::launch
