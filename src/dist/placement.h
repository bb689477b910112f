// Where a rank runs: which cores, with how many threads, on which OpenCL device. Ranks that share a
// CPU split its cores, because two OpenCL runtimes with a thread on every core halve each other's
// speed.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dist/communicator.h"
#include "tensor/device_info.h"

namespace motley {

/// One logical processor of the host.
struct Processor {
  int id = 0;
  int package = 0;
  int core = 0;  // equal for hyper-threads of one core
  friend bool operator==(const Processor&, const Processor&) = default;
};

/// What place() found and did.
struct Placement {
  std::vector<Processor> allowed;  // by the affinity mask at the start
  std::vector<Processor> cores;  // this rank's own, after sharing with the other ranks of its host
  int num_threads = 0;           // of PoCL's CPU device
  std::string threads_origin;    // "this rank's cores" or "POCL_MAX_PTHREAD_COUNT"
  std::string pocl_cache;        // where PoCL keeps kernels, if not in its usual place
  std::vector<std::string> warnings;
  /// "cores 0-3 of 8, 4 threads"
  std::string summary() const;
};

/// Collective; call once, before the first OpenCL call, for PoCL reads its environment then. Finds
/// the cores this process may use, takes this rank's share of them when other ranks of the host may
/// use the same (and binds this thread and those it starts to it), and sets POCL_MAX_PTHREAD_COUNT,
/// POCL_CPU_MAX_CU_COUNT and, when PoCL could not write to its cache, POCL_CACHE_DIR. What the user
/// has set in the environment is left alone, the binding too when the user has set the number of
/// threads.
Placement place(Communicator& comm);

/// The part of `masks[local_rank]` that this rank uses. masks: what each rank of the host may use,
/// as their affinity masks say. Ranks with equal masks split them evenly in the order of package
/// and core, so that hyper-threads stay together; with more ranks than processors some share one.
std::vector<Processor> share_of(std::span<const std::vector<Processor>> masks,
                                std::size_t local_rank);

/// Whether two ranks of one host may use the same GPU. CPUs are always shared, by splitting cores.
enum class DeviceSharing { refuse, allow };

/// This rank's device. spec: "auto" (a GPU for each rank if the host has GPUs, else the CPU),
/// "cpu", "gpu", "index:N" (as `motley devices` counts), "name:TEXT" (contained in the name, any
/// case). Of several that fit, ranks of a host take one each. Throws ConfigError for an unknown
/// spec; EnvironmentError when nothing fits (explain_no_devices when there is no device at all) or
/// ranks would have to share a GPU.
const DeviceInfo& choose_device(std::span<const DeviceInfo> devices, std::string_view spec,
                                int local_rank, int local_size,
                                DeviceSharing sharing = DeviceSharing::refuse);

/// What is wrong with running on this device under this placement; empty when nothing is. A CPU
/// device with more compute units than the rank has cores makes its threads wait for each other.
std::string explain_overcommit(const DeviceInfo& device, const Placement& placement);

/// "0-3,8" for processors 0, 1, 2, 3 and 8.
std::string format_processors(std::span<const Processor> processors);

}  // namespace motley
