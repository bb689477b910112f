// What OpenCL devices this machine has and what each can do. Nothing here opens a device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tensor/opencl.h"

namespace motley {

enum class DeviceKind { cpu, gpu, other };

struct DeviceInfo {
  cl::Device handle;
  std::string name;
  std::string vendor;
  std::string platform;
  std::string version;  // "OpenCL 3.0 ..."
  std::string driver;
  std::string identity;  // equal for the same physical device shown by two platforms
  DeviceKind kind = DeviceKind::other;
  std::size_t global_memory = 0;   // bytes
  std::size_t max_allocation = 0;  // bytes in one buffer
  std::size_t local_memory = 0;    // bytes per work-group
  bool local_memory_is_fast = false;
  bool unified_memory = false;  // host and device share memory: maps cost nothing
  std::uint32_t compute_units = 0;
  std::size_t max_work_group = 0;
  std::vector<std::string> features;  // of "fp16", "fp64", "subgroups", "int64-atomics", ...
};

/// Every physical device once, GPUs first, each kind in the order of its PCI address or platform.
/// An empty list when there is no platform or no device.
std::vector<DeviceInfo> list_devices();

/// Why list_devices() may be empty on this machine and what to install.
std::string explain_no_devices();

std::string to_string(DeviceKind kind);

}  // namespace motley
