// Where a rank runs: which cores, on which memory, with how many threads. Ranks that share a CPU
// split its cores, because two OpenCL runtimes with a thread on every core halve each other's
// speed. Which device a rank uses is placement_devices.h's.
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
  int numa = 0;  // the node of memory it is near to
  int package = 0;
  int core = 0;  // equal for hyper-threads of one core
  friend bool operator==(const Processor&, const Processor&) = default;
};

/// What a rank needs cores for: its device computes on them, they only drive its device, or that is
/// not known before the devices are listed.
enum class CoreNeed { device, host, unknown };

/// What place() found and did.
struct Placement {
  std::vector<Processor> available;  // what this process could be given: the host's or container's
  std::vector<Processor> allowed;    // by the affinity mask at the start
  std::vector<Processor> cores;  // this rank's own, after sharing with the other ranks of its host
  int local_size = 1;            // ranks on this host
  bool launched = false;         // by mpirun or srun, which may have set the affinity mask
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
Placement place(Communicator& comm, CoreNeed need = CoreNeed::unknown);

/// What one rank of a host may use, by its affinity mask, and wants to use it for.
struct RankCores {
  std::vector<Processor> mask;
  CoreNeed need = CoreNeed::unknown;
};

/// The part of ranks[local_rank].mask that this rank uses. Ranks with equal masks split them:
/// where some compute on the cores, those that only drive another device get one core each, from
/// the end, and the others the rest. Each gets cores of one NUMA node, if there are as many ranks
/// as nodes, else whole nodes; hyper-threads of a core stay together unless there are more ranks
/// than cores; with more ranks than processors some share one.
std::vector<Processor> share_of(std::span<const RankCores> ranks, std::size_t local_rank);

/// How many ranks with a CPU device suit this host: one for each NUMA node this process may use.
std::size_t num_cpu_ranks();

/// Why this rank must not train on this device; empty when it may: the launcher has bound it to one
/// core although the host has two or more for each of its ranks.
std::string explain_one_core(const DeviceInfo& device, const Placement& placement);

/// What makes this device slow under this placement, for a warning; empty when nothing does. A CPU
/// device with more compute units than the rank has cores makes its threads wait for each other;
/// one that its launcher has bound to less than its share of the cores computes on these alone; one
/// whose cores lie on several NUMA nodes reads much of its memory from afar.
std::string explain_slow_placement(const DeviceInfo& device, const Placement& placement);

/// "0-3,8" for processors 0, 1, 2, 3 and 8.
std::string format_processors(std::span<const Processor> processors);
std::string format_processor_list(std::vector<int> ids);
/// The processors of "0-3,8", as the kernel writes lists in /sys; other text ends the list.
std::vector<int> parse_processor_list(std::string_view text);

}  // namespace motley
