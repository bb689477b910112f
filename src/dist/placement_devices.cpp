#include "dist/placement_devices.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "dist/agree.h"
#include "tensor/error.h"
#include "tensor/log.h"

namespace motley {
namespace {

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

/// The CPU: one device, even if several platforms offer it, for they would compete for its cores.
Candidates select_cpu(std::span<const DeviceInfo> devices) {
  Candidates found = select(devices, [](auto& d) { return d.kind == DeviceKind::cpu; });
  if (found.size() > 1) found.resize(1);
  return found;
}

Candidates select_index(std::span<const DeviceInfo> devices, std::string_view digits) {
  std::size_t index = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), index);
  if (index >= devices.size()) return {};
  return {&devices[index]};
}

/// Every device that an entry of a list may mean, in order of preference.
Candidates candidates(std::span<const DeviceInfo> devices, std::string_view item) {
  if (item == "cpu") return select_cpu(devices);
  if (item == "gpu") return select(devices, [](auto& d) { return d.kind == DeviceKind::gpu; });
  if (item == "auto") {
    Candidates others = select(devices, [](auto& d) { return d.kind != DeviceKind::cpu; });
    return others.empty() ? select_cpu(devices) : others;
  }
  const std::string text = lower(item.substr(item.find(':') + 1));
  if (item.starts_with("index:")) return select_index(devices, text);
  if (item.starts_with("pci:")) {
    // The domain is 0000 nearly everywhere, and lspci leaves it out.
    return select(devices, [&](auto& d) { return d.pci == text || d.pci == "0000:" + text; });
  }
  return select(devices, [&](auto& d) { return lower(d.name).find(text) != std::string::npos; });
}

std::string list_names(std::span<const DeviceInfo> devices) {
  std::string text;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const DeviceInfo& device = devices[i];
    text += fmt::format("\n  index:{} {} ({}{})", i, device.name, to_string(device.kind),
                        device.pci.empty() ? "" : ", pci:" + device.pci);
  }
  return text;
}

constexpr char separator = '\t';

/// Names come from drivers; a separator in one would break the line.
std::string to_text(ChosenDevice chosen) {
  for (std::string* field : {&chosen.identity, &chosen.device, &chosen.rank})
    std::replace(field->begin(), field->end(), separator, ' ');
  return fmt::format("{1}{0}{2}{0}{3}{0}{4}{0}{5}", separator, chosen.node,
                     static_cast<int>(chosen.kind), chosen.identity, chosen.device, chosen.rank);
}

ChosenDevice from_text(std::string_view text) {
  const auto next = [&] {
    const std::size_t end = text.find(separator);
    const std::string_view field = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    return field;
  };
  const auto next_number = [&] {
    const std::string_view field = next();
    int value = 0;
    std::from_chars(field.data(), field.data() + field.size(), value);
    return value;
  };
  ChosenDevice chosen;
  chosen.node = next_number();
  chosen.kind = static_cast<DeviceKind>(next_number());
  chosen.identity = next();
  chosen.device = next();
  chosen.rank = next();
  return chosen;
}

}  // namespace

const DeviceInfo& choose_device(std::span<const DeviceInfo> devices, const DeviceList& list,
                                int local_rank, int local_size) {
  if (devices.empty()) throw EnvironmentError("device.none", explain_no_devices());
  const auto num_ranks = static_cast<std::size_t>(local_size);
  require<EnvironmentError>(
      list.size() == 1 || list.size() >= num_ranks, "device.list",
      "{} ranks run on this host, but its list of devices has {}: {}\n"
      "  fix: start {} rank(s) on this host, or give device.use one device for each",
      local_size, list.size(), fmt::join(list, ","), list.size());
  const auto rank = static_cast<std::size_t>(local_rank);
  const std::string& item = list.size() == 1 ? list[0] : list[rank];
  const Candidates found = candidates(devices, item);
  require<EnvironmentError>(!found.empty(), "device.none",
                            "no device of this host is '{}'; it has{}\n  fix: choose one of these",
                            item, list_names(devices));
  const auto before = list.begin() + static_cast<std::ptrdiff_t>(std::min(rank, list.size()));
  const std::size_t turn =
      list.size() == 1 ? rank : static_cast<std::size_t>(std::count(list.begin(), before, item));
  return *found[turn % found.size()];
}

std::size_t count_ranks(std::span<const DeviceInfo> devices, const DeviceList& list,
                        std::size_t cpu_ranks) {
  if (list.size() > 1) return list.size();
  std::size_t count = 0;
  for (const DeviceInfo* device : candidates(devices, list[0]))
    count += device->kind == DeviceKind::cpu ? cpu_ranks : 1;
  return count;
}

void check_sharing(std::span<const ChosenDevice> ranks, DeviceSharing sharing) {
  if (sharing == DeviceSharing::allow) return;
  for (std::size_t second = 1; second < ranks.size(); ++second) {
    for (std::size_t first = 0; first < second; ++first) {
      const ChosenDevice& a = ranks[first];
      const ChosenDevice& b = ranks[second];
      if (a.node != b.node || a.identity != b.identity || a.kind == DeviceKind::cpu) continue;
      fail<EnvironmentError>(
          "device.shared",
          "{} and {} would share one device, {} ({}), each at half its speed or less\n"
          "  fix: start fewer ranks on this host (motley devices --count says how many), choose "
          "other devices with --device, or allow it with --share-device",
          a.rank, b.rank, a.device, a.identity);
    }
  }
}

std::string explain_idle(std::span<const DeviceInfo> devices, const DeviceList& list,
                         std::span<const ChosenDevice> ranks, int node) {
  const bool asked = std::any_of(list.begin(), list.end(), [](const std::string& item) {
    return item == "auto" || item == "gpu";
  });
  if (!asked) return "";
  std::vector<std::string> idle;
  std::size_t num_gpus = 0;
  for (const DeviceInfo& device : devices) {
    if (device.kind != DeviceKind::gpu) continue;
    ++num_gpus;
    const bool used = std::any_of(ranks.begin(), ranks.end(), [&](const ChosenDevice& rank) {
      return rank.node == node && rank.identity == device.identity;
    });
    if (!used) idle.push_back(fmt::format("{} ({})", device.name, device.identity));
  }
  if (idle.empty()) return "";
  return fmt::format("{} of {} GPUs of this host stay idle: {}\n  fix: start {} ranks on this host",
                     idle.size(), num_gpus, fmt::join(idle, ", "), num_gpus);
}

DeviceInfo agree_on_device(Communicator& comm, std::span<const DeviceInfo> devices,
                           const DeviceSpec& spec, DeviceSharing sharing) {
  const DeviceList& list = spec.list_for(comm.host());
  const DeviceInfo& info = *agree(comm, "choosing a device", [&] {
    return &choose_device(devices, list, comm.local_rank(), comm.local_size());
  });
  const ChosenDevice mine{comm.node(), info.identity, info.kind, info.name, comm.name()};
  std::vector<ChosenDevice> ranks;
  for (const std::string& text : comm.all_gather_text(to_text(mine)))
    ranks.push_back(from_text(text));
  agree(comm, "choosing devices", [&] { check_sharing(ranks, sharing); });
  const std::string idle = explain_idle(devices, list, ranks, comm.node());
  if (!idle.empty() && comm.local_rank() == 0) log::warn("{}", idle);
  return info;
}

}  // namespace motley
