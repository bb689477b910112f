// Which device a rank uses: what the user asked for, what this host has, and what the other ranks
// of the host have taken.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dist/communicator.h"
#include "dist/placement.h"
#include "tensor/device_info.h"

namespace motley {

/// What the ranks of one host ask for: one device for each local rank, or one for all of them. Each
/// is auto (a GPU if the host has any, else the CPU), cpu, gpu, index:N (as `motley devices`
/// counts), name:TEXT (contained in the name, any case) or pci:ADDRESS (0000:65:00.0).
using DeviceList = std::vector<std::string>;

/// The value of device.use: a list for every host, and lists for hosts of their own.
///   "gpu"                          every rank a GPU
///   "gpu,gpu,cpu"                  local ranks 0 and 1 a GPU each, local rank 2 the CPU
///   "auto; node2=index:1,cpu"      that on node2, auto elsewhere
class DeviceSpec {
 public:
  /// Throws ConfigError for what is no device, for a second list for one host, and for an empty
  /// one.
  static DeviceSpec parse(std::string_view text);

  /// The list of a host, by its name or the part of it before the first dot; "auto" for a host that
  /// only others' lists leave out.
  const DeviceList& list_for(std::string_view host) const;

 private:
  DeviceList everywhere_{"auto"};
  std::vector<std::pair<std::string, DeviceList>> by_host_;
};

/// What a rank will need cores for, as far as its list says so before the devices are known.
CoreNeed core_need(const DeviceList& list, int local_rank);

/// The device that local rank `local_rank` takes of a host's devices. Ranks that ask for the same
/// take the devices that fit in turn. Throws EnvironmentError when nothing fits (explain_no_devices
/// when there is no device at all) or the list has not one entry for each of the host's ranks.
const DeviceInfo& choose_device(std::span<const DeviceInfo> devices, const DeviceList& list,
                                int local_rank, int local_size);

/// How many ranks a list asks for on a host with these devices: its length if it has several
/// entries, else as many as there are devices that fit. The CPU counts cpu_ranks times.
std::size_t count_ranks(std::span<const DeviceInfo> devices, const DeviceList& list,
                        std::size_t cpu_ranks);

/// One rank's choice, as the others must know it.
struct ChosenDevice {
  int node = 0;
  std::string identity;
  DeviceKind kind = DeviceKind::other;
  std::string device;  // its name
  std::string rank;    // "rank 2 on node1"
};

/// Whether two ranks of one host may use the same device. CPUs are always shared, by splitting
/// cores.
enum class DeviceSharing { refuse, allow };

/// Throws EnvironmentError, naming both ranks and the device, when two ranks of one host use the
/// same device that is not a CPU and sharing is refused.
void check_sharing(std::span<const ChosenDevice> ranks, DeviceSharing sharing);

/// A warning that names the GPUs of node `node` that no rank uses although GPUs were asked for
/// without naming any; empty when there is none.
std::string explain_idle(std::span<const DeviceInfo> devices, const DeviceList& list,
                         std::span<const ChosenDevice> ranks, int node);

/// Collective. This rank's device of `devices`, which are its host's; warns of idle GPUs. Throws on
/// every rank what choose_device or check_sharing throw on any.
DeviceInfo agree_on_device(Communicator& comm, std::span<const DeviceInfo> devices,
                           const DeviceSpec& spec, DeviceSharing sharing);

}  // namespace motley
