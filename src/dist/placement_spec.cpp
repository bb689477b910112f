// Reading the value of device.use.
#include <algorithm>

#include "dist/placement_devices.h"
#include "tensor/error.h"

namespace motley {
namespace {

std::string_view trim(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

/// The parts of a text between separators, without the blanks around them.
std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.push_back(trim(text.substr(0, end)));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

bool is_made_of(std::string_view text, std::string_view characters) {
  return !text.empty() && text.find_first_not_of(characters) == std::string_view::npos;
}

bool is_device(std::string_view item) {
  for (const std::string_view word : {"auto", "cpu", "gpu"}) {
    if (item == word) return true;
  }
  if (item.starts_with("index:")) {
    return is_made_of(item.substr(6), "0123456789") && item.size() <= 12;
  }
  if (item.starts_with("pci:")) return is_made_of(item.substr(4), "0123456789abcdefABCDEF:.");
  return item.starts_with("name:") && item.size() > 5;
}

DeviceList parse_list(std::string_view text) {
  DeviceList list;
  for (const std::string_view item : split(text, ',')) {
    require<ConfigError>(is_device(item), "device.spec",
                         "device.use: '{}' is not a device\n"
                         "  must be auto, cpu, gpu, index:N, name:TEXT or pci:ADDRESS, as `motley "
                         "devices` lists them; several, one for each rank of a host, are "
                         "separated by commas, hosts by semicolons: \"gpu; node2=index:1,cpu\"",
                         item);
    list.emplace_back(item);
  }
  return list;
}

std::string_view short_name(std::string_view host) {
  return host.substr(0, host.find('.'));
}

}  // namespace

DeviceSpec DeviceSpec::parse(std::string_view text) {
  DeviceSpec spec;
  bool has_everywhere = false;
  for (const std::string_view part : split(text, ';')) {
    const std::size_t equals = part.find('=');
    const std::string host(trim(part.substr(0, equals == std::string_view::npos ? 0 : equals)));
    const bool is_known = std::any_of(spec.by_host_.begin(), spec.by_host_.end(),
                                      [&](const auto& entry) { return entry.first == host; });
    require<ConfigError>(
        equals == std::string_view::npos ? !has_everywhere : !host.empty() && !is_known,
        "device.spec",
        "device.use: '{}' is a second list for {}\n"
        "  give each host one list, and one without a name for all others",
        part, host.empty() ? "all hosts" : host);
    if (equals == std::string_view::npos) {
      spec.everywhere_ = parse_list(part);
      has_everywhere = true;
    } else {
      spec.by_host_.emplace_back(host, parse_list(part.substr(equals + 1)));
    }
  }
  return spec;
}

const DeviceList& DeviceSpec::list_for(std::string_view host) const {
  for (const auto& [name, list] : by_host_) {
    if (name == host) return list;
  }
  for (const auto& [name, list] : by_host_) {
    if (name == short_name(host) || short_name(name) == host) return list;
  }
  return everywhere_;
}

CoreNeed core_need(const DeviceList& list, int local_rank) {
  const auto wanted = static_cast<std::size_t>(local_rank);
  const std::string& item = list.size() == 1 ? list[0] : list[std::min(wanted, list.size() - 1)];
  if (item == "cpu") return CoreNeed::device;
  if (item == "gpu" || item.starts_with("pci:")) return CoreNeed::host;
  return CoreNeed::unknown;
}

}  // namespace motley
