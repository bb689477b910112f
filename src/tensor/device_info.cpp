#include "tensor/device_info.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <set>

#include "tensor/error.h"
#include "tensor/io.h"

namespace motley {
namespace {

// Vendor queries that CL/cl.h lacks at version 1.2.
constexpr cl_device_info device_uuid_khr = 0x106A;
constexpr cl_device_info pci_bus_info_khr = 0x410F;
constexpr cl_device_info pci_bus_id_nv = 0x4008;
constexpr cl_device_info pci_slot_id_nv = 0x4009;
constexpr cl_int platform_not_found_khr = -1001;

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

/// PCI address, else UUID, else platform, name and ordinal: what stays the same across platforms.
std::string identify(const cl::Device& device, const std::string& extensions,
                     const std::string& fallback) {
  std::array<cl_uint, 4> pci{};
  if (has_extension(extensions, "cl_khr_pci_bus_info") &&
      try_query(device, pci_bus_info_khr, pci)) {
    return fmt::format("pci:{:04x}:{:02x}:{:02x}.{:x}", pci[0], pci[1], pci[2], pci[3]);
  }
  cl_uint bus = 0;
  cl_uint slot = 0;
  if (try_query(device, pci_bus_id_nv, bus) && try_query(device, pci_slot_id_nv, slot)) {
    return fmt::format("pci:0000:{:02x}:{:02x}.0", bus, slot >> 3);
  }
  std::array<cl_uchar, 16> uuid{};
  if (has_extension(extensions, "cl_khr_device_uuid") && try_query(device, device_uuid_khr, uuid)) {
    return fmt::format("uuid:{:02x}", fmt::join(uuid, ""));
  }
  return fallback;
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
  info.identity =
      identify(device, extensions, fmt::format("{}:{}:{}", platform, info.name, ordinal));
  return info;
}

}  // namespace

std::vector<DeviceInfo> list_devices() {
  std::vector<cl::Platform> platforms;
  const cl_int code = cl::Platform::get(&platforms);
  if (code == platform_not_found_khr) return {};
  check_cl(code, "clGetPlatformIDs");

  std::vector<DeviceInfo> found;
  std::set<std::string> seen;
  for (const cl::Platform& platform : platforms) {
    std::vector<cl::Device> devices;
    const cl_int answer = platform.getDevices(CL_DEVICE_TYPE_ALL, &devices);
    if (answer == CL_DEVICE_NOT_FOUND) continue;
    check_cl(answer, "clGetDeviceIDs");
    std::string platform_name;
    check_cl(platform.getInfo(CL_PLATFORM_NAME, &platform_name), "clGetPlatformInfo");
    for (std::size_t i = 0; i < devices.size(); ++i) {
      DeviceInfo info = describe(devices[i], trim(platform_name), i);
      if (seen.insert(info.identity).second) found.push_back(std::move(info));
    }
  }
  const auto rank_of = [](const DeviceInfo& d) { return d.kind == DeviceKind::gpu ? 0 : 1; };
  std::stable_sort(found.begin(), found.end(), [&](const DeviceInfo& a, const DeviceInfo& b) {
    return rank_of(a) < rank_of(b);
  });
  return found;
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
