#include "tensor/device_info.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <mutex>
#include <tuple>
#include <utility>

#include "tensor/error.h"
#include "tensor/io.h"

namespace motley {
namespace {

// Vendor queries that CL/cl.h lacks at version 1.2.
constexpr cl_device_info device_uuid_khr = 0x106A;
constexpr cl_device_info pci_bus_info_khr = 0x410F;
constexpr cl_device_info pci_bus_id_nv = 0x4008;
constexpr cl_device_info pci_slot_id_nv = 0x4009;
constexpr cl_device_info pci_domain_id_nv = 0x400A;
constexpr cl_device_info topology_amd = 0x4037;
constexpr cl_uint amd_topology_pcie = 1;
constexpr cl_device_info compute_capability_major_nv = 0x4000;
constexpr cl_device_info sub_group_sizes_intel = 0x4108;
constexpr cl_uint vendor_id_amd = 0x1002;
constexpr cl_device_info free_memory_amd = 0x4039;
constexpr cl_int platform_not_found_khr = -1001;

/// What cl_amd_device_attribute_query answers to CL_DEVICE_TOPOLOGY_AMD.
struct AmdTopology {
  cl_uint type;
  std::array<cl_uchar, 17> unused;
  cl_uchar bus;
  cl_uchar device;
  cl_uchar function;
};
static_assert(sizeof(AmdTopology) == 24);

std::string trim(std::string text) {
  while (!text.empty() && (text.back() == '\0' || text.back() == ' ')) text.pop_back();
  text.erase(0, text.find_first_not_of(' '));
  return text;
}

template <class T>
T query(const cl::Device& device, cl_device_info what) {
  T value{};
  check_cl(device.getInfo(what, &value), "clGetDeviceInfo");
  return value;
}

std::string query_text(const cl::Device& device, cl_device_info what) {
  return trim(query<std::string>(device, what));
}

/// A fixed-size answer to a query that only some drivers know.
template <class T>
bool try_query(const cl::Device& device, cl_device_info what, T& value) {
  return clGetDeviceInfo(device(), what, sizeof value, &value, nullptr) == CL_SUCCESS;
}

bool has_extension(const std::string& extensions, const std::string& name) {
  return (" " + extensions + " ").find(" " + name + " ") != std::string::npos;
}

std::string read_pci_address(const cl::Device& device, const std::string& extensions) {
  std::array<cl_uint, 4> pci{};
  if (has_extension(extensions, "cl_khr_pci_bus_info") &&
      try_query(device, pci_bus_info_khr, pci)) {
    return fmt::format("{:04x}:{:02x}:{:02x}.{:x}", pci[0], pci[1], pci[2], pci[3]);
  }
  cl_uint bus = 0;
  cl_uint slot = 0;
  if (try_query(device, pci_bus_id_nv, bus) && try_query(device, pci_slot_id_nv, slot)) {
    cl_uint domain = 0;
    if (!try_query(device, pci_domain_id_nv, domain)) domain = 0;
    return fmt::format("{:04x}:{:02x}:{:02x}.0", domain, bus, slot >> 3);
  }
  AmdTopology amd{};
  if (try_query(device, topology_amd, amd) && amd.type == amd_topology_pcie) {
    return fmt::format("0000:{:02x}:{:02x}.{:x}", amd.bus, amd.device, amd.function);
  }
  return "";
}

std::string read_uuid(const cl::Device& device, const std::string& extensions) {
  std::array<cl_uchar, 16> uuid{};
  if (!has_extension(extensions, "cl_khr_device_uuid") ||
      !try_query(device, device_uuid_khr, uuid)) {
    return "";
  }
  const bool is_set =
      std::any_of(uuid.begin(), uuid.end(), [](cl_uchar byte) { return byte != 0; });
  return is_set ? fmt::format("{:02x}", fmt::join(uuid, "")) : "";
}

MatrixUnitHints read_matrix_hints(const cl::Device& device, const std::string& extensions,
                                  const std::string& name) {
  MatrixUnitHints hints;
  cl_uint major = 0;
  if (has_extension(extensions, "cl_nv_device_attribute_query") &&
      try_query(device, compute_capability_major_nv, major)) {
    hints.nvidia_capability = major;
  }
  if (has_extension(extensions, "cl_intel_subgroup_matrix_multiply_accumulate")) {
    std::vector<std::size_t> sizes;
    if (device.getInfo(sub_group_sizes_intel, &sizes) == CL_SUCCESS && !sizes.empty())
      hints.intel_matrix_sub_group = *std::min_element(sizes.begin(), sizes.end());
  }
  // "gfx90a:sramecc+:xnack-"
  if (query<cl_uint>(device, CL_DEVICE_VENDOR_ID) == vendor_id_amd && name.starts_with("gfx"))
    hints.amd_architecture = name.substr(0, name.find(':'));
  return hints;
}

/// What stays the same across platforms, as far as the driver tells.
std::string identify(const DeviceInfo& info, std::size_t ordinal) {
  if (!info.pci.empty()) return "pci:" + info.pci;
  if (!info.uuid.empty()) return "uuid:" + info.uuid;
  return fmt::format("{}:{}:{}", info.platform, info.name, ordinal);
}

/// Of two platforms that show one device, the one with the lower number is used.
int rank_of_platform(const DeviceInfo& info) {
  if (info.platform == "rusticl" || info.platform == "Clover") return 1;
  if (info.platform == "Portable Computing Language") return 2;
  return 0;
}

bool is_same_device(const DeviceInfo& a, const DeviceInfo& b) {
  const bool same_address = !a.pci.empty() && a.pci == b.pci;
  const bool same_uuid = !a.uuid.empty() && a.uuid == b.uuid;
  return same_address || same_uuid;
}

DeviceInfo describe(const cl::Device& device, const std::string& platform, std::size_t ordinal) {
  DeviceInfo info;
  info.handle = device;
  info.name = query_text(device, CL_DEVICE_NAME);
  info.vendor = query_text(device, CL_DEVICE_VENDOR);
  info.platform = platform;
  info.version = query_text(device, CL_DEVICE_VERSION);
  info.driver = query_text(device, CL_DRIVER_VERSION);
  const auto type = query<cl_device_type>(device, CL_DEVICE_TYPE);
  if ((type & CL_DEVICE_TYPE_GPU) != 0) info.kind = DeviceKind::gpu;
  if ((type & CL_DEVICE_TYPE_CPU) != 0) info.kind = DeviceKind::cpu;
  info.global_memory = query<cl_ulong>(device, CL_DEVICE_GLOBAL_MEM_SIZE);
  info.max_allocation = query<cl_ulong>(device, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
  info.local_memory = query<cl_ulong>(device, CL_DEVICE_LOCAL_MEM_SIZE);
  info.local_memory_is_fast =
      query<cl_device_local_mem_type>(device, CL_DEVICE_LOCAL_MEM_TYPE) == CL_LOCAL;
  info.cache_bytes = query<cl_ulong>(device, CL_DEVICE_GLOBAL_MEM_CACHE_SIZE);
  info.unified_memory = query<cl_bool>(device, CL_DEVICE_HOST_UNIFIED_MEMORY) == CL_TRUE;
  info.compute_units = query<cl_uint>(device, CL_DEVICE_MAX_COMPUTE_UNITS);
  info.max_work_group = query<std::size_t>(device, CL_DEVICE_MAX_WORK_GROUP_SIZE);
  const std::string extensions = query<std::string>(device, CL_DEVICE_EXTENSIONS);
  constexpr std::array<std::array<const char*, 2>, 5> known{
      {{"cl_khr_fp16", "fp16"},
       {"cl_khr_fp64", "fp64"},
       {"cl_khr_subgroups", "subgroups"},
       {"cl_khr_int64_base_atomics", "int64-atomics"},
       {"cl_khr_integer_dot_product", "int8-dot"}}};
  for (const auto& [extension, feature] : known) {
    if (has_extension(extensions, extension)) info.features.emplace_back(feature);
  }
  info.matrix_hints = read_matrix_hints(device, extensions, info.name);
  info.pci = read_pci_address(device, extensions);
  info.uuid = read_uuid(device, extensions);
  info.identity = identify(info, ordinal);
  return info;
}

}  // namespace

std::vector<DeviceInfo> merge_devices(std::vector<DeviceInfo> found) {
  std::vector<DeviceInfo> merged;
  for (DeviceInfo& info : found) {
    const auto same = std::find_if(merged.begin(), merged.end(),
                                   [&](const DeviceInfo& m) { return is_same_device(m, info); });
    if (same == merged.end()) {
      merged.push_back(std::move(info));
      continue;
    }
    std::vector<std::string> others = std::move(same->other_platforms);
    if (rank_of_platform(info) < rank_of_platform(*same)) std::swap(*same, info);
    if (info.platform != same->platform) others.push_back(info.platform);
    same->other_platforms = std::move(others);
  }
  const auto order = [](const DeviceInfo& d) {
    // An address sorts before none.
    return std::tuple(d.kind != DeviceKind::gpu, d.pci.empty(), d.pci);
  };
  std::stable_sort(merged.begin(), merged.end(),
                   [&](const DeviceInfo& a, const DeviceInfo& b) { return order(a) < order(b); });
  return merged;
}

std::vector<DeviceInfo> list_devices() {
  // PoCL 3.1 sets itself up in the first call, and not safely for two at once: one of them then
  // finds no device or crashes.
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  std::vector<cl::Platform> platforms;
  const cl_int code = cl::Platform::get(&platforms);
  if (code == platform_not_found_khr) return {};
  check_cl(code, "clGetPlatformIDs");

  std::vector<DeviceInfo> found;
  for (const cl::Platform& platform : platforms) {
    std::vector<cl::Device> devices;
    const cl_int answer = platform.getDevices(CL_DEVICE_TYPE_ALL, &devices);
    if (answer == CL_DEVICE_NOT_FOUND) continue;
    check_cl(answer, "clGetDeviceIDs");
    std::string platform_name;
    check_cl(platform.getInfo(CL_PLATFORM_NAME, &platform_name), "clGetPlatformInfo");
    for (std::size_t i = 0; i < devices.size(); ++i) {
      found.push_back(describe(devices[i], trim(platform_name), i));
    }
  }
  return merge_devices(std::move(found));
}

std::optional<std::size_t> free_memory(const DeviceInfo& info) {
  if (info.kind == DeviceKind::cpu) {
    const std::string text = io::read_system_text("/proc/meminfo");
    constexpr std::string_view key = "MemAvailable:";
    const std::size_t at = text.find(key);
    if (at == std::string::npos) return std::nullopt;
    const std::size_t digits = std::min(text.find_first_not_of(' ', at + key.size()), text.size());
    std::size_t kibibytes = 0;
    std::from_chars(text.data() + digits, text.data() + text.size(), kibibytes);
    return std::min(kibibytes << 10, info.global_memory);
  }
  std::array<std::size_t, 2> kibibytes{};  // of all memory, and of the largest free block
  if (!try_query(info.handle, free_memory_amd, kibibytes)) return std::nullopt;
  return kibibytes[0] << 10;
}

std::string explain_no_devices() {
  const char* vendors = std::getenv("OCL_ICD_VENDORS");
  const std::string folder = vendors != nullptr ? vendors : "/etc/OpenCL/vendors";
  std::string files;
  if (io::is_directory(folder)) {
    for (const std::string& name : io::list(folder)) files += (files.empty() ? "" : ", ") + name;
  }
  return fmt::format(
      "no OpenCL device was found; ICD files in {}: {}\n"
      "  fix: apt install pocl-opencl-icd (CPU), intel-opencl-icd, mesa-opencl-icd or the vendor's "
      "driver; if one is installed, its cache directory may not be writable (PoCL: set "
      "POCL_CACHE_DIR)",
      folder, files.empty() ? "(none)" : files);
}

std::string to_string(DeviceKind kind) {
  switch (kind) {
    case DeviceKind::cpu:
      return "cpu";
    case DeviceKind::gpu:
      return "gpu";
    case DeviceKind::other:
      return "other";
  }
  return "?";
}

}  // namespace motley
