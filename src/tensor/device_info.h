// What OpenCL devices this machine has and what each can do. Nothing here opens a device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tensor/opencl.h"

namespace motley {

enum class DeviceKind { cpu, gpu, other };

/// What vendors say by queries of their own that tells which matrix instructions a GPU may have.
struct MatrixUnitHints {
  std::uint32_t nvidia_capability = 0;  // the major number; 0: not NVIDIA's
  /// The smallest sub-groups of a GPU with Intel's matrix extension; 0: it has none.
  std::size_t intel_matrix_sub_group = 0;
  std::string amd_architecture;  // "gfx1100"; empty: not AMD's
};

struct DeviceInfo {
  cl::Device handle;
  std::string name;
  std::string vendor;
  std::string platform;
  std::string version;  // "OpenCL 3.0 ..."
  std::string driver;
  std::string pci;       // "0000:65:00.0"; empty when the driver does not tell
  std::string uuid;      // 32 hexadecimal digits; empty when the driver does not tell
  std::string identity;  // "pci:0000:65:00.0", else "uuid:...", else platform, name and ordinal
  std::vector<std::string> other_platforms;  // that show the same device and are not used for it
  DeviceKind kind = DeviceKind::other;
  std::size_t global_memory = 0;   // bytes
  std::size_t max_allocation = 0;  // bytes in one buffer
  std::size_t local_memory = 0;    // bytes per work-group
  bool local_memory_is_fast = false;
  std::size_t cache_bytes = 0;  // of the last cache; 0: none, or not told
  bool unified_memory = false;  // host and device share memory: maps cost nothing
  std::uint32_t compute_units = 0;
  std::size_t max_work_group = 0;
  MatrixUnitHints matrix_hints;
  std::vector<std::string> features;  // of "fp16", "fp64", "subgroups", "int64-atomics", ...
};

/// Every physical device once, GPUs first, in the order of their PCI addresses, then of the
/// platforms. An empty list when there is no platform or no device.
std::vector<DeviceInfo> list_devices();

/// Every physical device of `found` once, as list_devices() gives them. Two are the same when their
/// PCI addresses or their UUIDs are equal; of these, the vendor's own platform is kept, rather than
/// Mesa's (rusticl, Clover), rather than PoCL's. CPUs of two platforms are kept apart: whoever
/// installs two means to choose.
std::vector<DeviceInfo> merge_devices(std::vector<DeviceInfo> found);

/// Bytes of a device's memory that are free now: what its driver says, and for a CPU what the host
/// could give. No value where that is not told.
std::optional<std::size_t> free_memory(const DeviceInfo& info);

/// Why list_devices() may be empty on this machine and what to install.
std::string explain_no_devices();

std::string to_string(DeviceKind kind);

}  // namespace motley
