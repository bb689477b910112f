// Host threads near the device they drive: what a rank stages, sums and sends for a GPU lies in the
// memory of the NUMA node that its threads run on, which should be the one the GPU is attached to.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "dist/placement.h"
#include "tensor/io.h"

namespace motley {

/// Where Linux describes what is attached to PCI.
constexpr const char* pci_devices_directory = "/sys/bus/pci/devices";

/// The processors of the NUMA node that a PCI device ("0000:65:00.0") is attached to, by what is in
/// `pci_devices`, a directory like /sys/bus/pci/devices; empty when that does not tell.
std::vector<int> processors_near(const std::string& pci, const io::Path& pci_devices);

/// What a rank of a host may use and has. Processors are ids, ascending.
struct HostRank {
  std::vector<int> mask;   // its affinity mask at the start
  std::vector<int> cores;  // what place() gave it
  std::vector<int> near;   // its device's neighbours; empty: not known, or the device is a CPU
};

/// Of `mask`, which is that of ranks[local_rank], what this rank's threads are to use: processors
/// near its device that no rank without such a device has; ranks for which these are the same split
/// them as share_of does. Empty when there are none, such as when a launcher has bound the rank
/// elsewhere.
std::vector<Processor> share_near(std::span<const Processor> mask, std::span<const HostRank> ranks,
                                  std::size_t local_rank);

/// Collective; call once the ranks have chosen their devices. Binds this thread, the communication
/// thread and those they start to processors near this rank's device, unless it is a CPU or its
/// place is not known; placement.cores are these then. What the user or a launcher has bound this
/// rank to is never left. Returns what went wrong, as a warning; empty when nothing did.
std::string bind_near(Communicator& comm, Placement& placement, const DeviceInfo& device,
                      const io::Path& pci_devices = pci_devices_directory);

}  // namespace motley
