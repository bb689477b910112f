// The decisions, without the operating system: placement_system.cpp asks it and applies them.
#include "dist/placement.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <tuple>

#include "dist/shard_plan.h"
#include "tensor/error.h"

namespace motley {
namespace {

bool by_core(const Processor& a, const Processor& b) {
  return std::tie(a.package, a.core, a.id) < std::tie(b.package, b.core, b.id);
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

using Candidates = std::vector<const DeviceInfo*>;

template <class Predicate>
Candidates select(std::span<const DeviceInfo> devices, Predicate fits) {
  Candidates found;
  for (const DeviceInfo& device : devices) {
    if (fits(device)) found.push_back(&device);
  }
  return found;
}

bool is_cpu(const DeviceInfo& device) {
  return device.kind == DeviceKind::cpu;
}

Candidates select_index(std::span<const DeviceInfo> devices, std::string_view spec) {
  const std::string_view digits = spec.substr(spec.find(':') + 1);
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
  require<ConfigError>(error == std::errc{} && end == digits.data() + digits.size(), "device.spec",
                       "'{}' is not a device; after 'index:' comes a number such as index:0", spec);
  if (index >= devices.size()) return {};
  return {&devices[index]};
}

/// Every device that `spec` may mean, in order of preference.
Candidates candidates(std::span<const DeviceInfo> devices, std::string_view spec) {
  if (spec == "cpu") return select(devices, is_cpu);
  if (spec == "gpu") return select(devices, [](auto& d) { return d.kind == DeviceKind::gpu; });
  if (spec == "auto") {
    Candidates others = select(devices, [](auto& d) { return !is_cpu(d); });
    return others.empty() ? select(devices, is_cpu) : others;
  }
  if (spec.starts_with("index:")) return select_index(devices, spec);
  if (spec.starts_with("name:") && spec.size() > 5) {
    const std::string text = lower(spec.substr(5));
    return select(devices, [&](auto& d) { return lower(d.name).find(text) != std::string::npos; });
  }
  fail<ConfigError>(
      "device.spec",
      "'{}' is not a device; use auto, cpu, gpu, index:N or name:TEXT (see motley devices)", spec);
}

std::string list_names(std::span<const DeviceInfo> devices) {
  std::string text;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    text += fmt::format("\n  index:{} {} ({})", i, devices[i].name, to_string(devices[i].kind));
  }
  return text;
}

}  // namespace

std::vector<Processor> share_of(std::span<const std::vector<Processor>> masks,
                                std::size_t local_rank) {
  std::vector<Processor> mine = masks[local_rank];
  std::sort(mine.begin(), mine.end(), by_core);
  std::size_t sharers = 0;
  std::size_t position = 0;
  for (std::size_t r = 0; r < masks.size(); ++r) {
    if (masks[r] != masks[local_rank]) continue;
    if (r < local_rank) ++position;
    ++sharers;
  }
  if (sharers == 1 || mine.empty()) return mine;
  if (mine.size() < sharers) return {mine[position % mine.size()]};
  const Range range = split_evenly(mine.size(), sharers)[position];
  const std::span<const Processor> part = std::span(mine).subspan(range.begin, range.size());
  return {part.begin(), part.end()};
}

const DeviceInfo& choose_device(std::span<const DeviceInfo> devices, std::string_view spec,
                                int local_rank, int local_size, DeviceSharing sharing) {
  const Candidates found = candidates(devices, spec);
  if (devices.empty()) throw EnvironmentError("device.none", explain_no_devices());
  require<EnvironmentError>(!found.empty(), "device.none",
                            "no device of this host is '{}'; it has{}\n  fix: choose one of these",
                            spec, list_names(devices));
  const auto wanted = static_cast<std::size_t>(local_rank);
  const DeviceInfo& device = *found[wanted % found.size()];
  const bool enough = static_cast<std::size_t>(local_size) <= found.size();
  require<EnvironmentError>(
      enough || is_cpu(device) || sharing == DeviceSharing::allow, "device.shared",
      "{} ranks on this host would share {} device(s) for '{}', and {} would run two ranks at "
      "half speed each\n  fix: start {} rank(s) on this host, choose --device cpu, or allow "
      "sharing",
      local_size, found.size(), spec, device.name, found.size());
  return device;
}

std::string explain_overcommit(const DeviceInfo& device, const Placement& placement) {
  if (!is_cpu(device) || device.compute_units <= placement.cores.size()) return "";
  return fmt::format(
      "{} uses {} threads but this rank has {} core(s) ({}), so threads wait for each other\n"
      "  fix: mpirun --bind-to none, or set POCL_MAX_PTHREAD_COUNT={}",
      device.name, device.compute_units, placement.cores.size(), format_processors(placement.cores),
      placement.cores.size());
}

std::string format_processors(std::span<const Processor> processors) {
  std::vector<int> ids;
  for (const Processor& processor : processors) ids.push_back(processor.id);
  std::sort(ids.begin(), ids.end());
  std::string text;
  for (std::size_t i = 0; i < ids.size();) {
    std::size_t last = i;
    while (last + 1 < ids.size() && ids[last + 1] == ids[last] + 1) ++last;
    text += text.empty() ? "" : ",";
    text += last == i ? fmt::format("{}", ids[i]) : fmt::format("{}-{}", ids[i], ids[last]);
    i = last + 1;
  }
  return text;
}

std::string Placement::summary() const {
  return fmt::format("cores {} of {}, {} threads", format_processors(cores), allowed.size(),
                     num_threads);
}

}  // namespace motley
