#include "dist/placement_near.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "dist/placement_topology.h"

namespace motley {
namespace {

std::vector<int> ids_of(std::span<const Processor> processors) {
  std::vector<int> ids;
  for (const Processor& processor : processors) ids.push_back(processor.id);
  std::sort(ids.begin(), ids.end());
  return ids;
}

bool contains(const std::vector<int>& ids, int id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

/// What ranks near the same device's node have to share.
std::vector<int> pool_of(std::span<const HostRank> ranks, const HostRank& rank) {
  std::vector<int> pool;
  for (const int id : rank.mask) {
    const bool is_taken = std::any_of(ranks.begin(), ranks.end(), [&](const HostRank& other) {
      return other.near.empty() && contains(other.cores, id);
    });
    if (!is_taken && contains(rank.near, id)) pool.push_back(id);
  }
  return pool;
}

/// The ranks of this host, by local rank: those of one host come in that order.
std::vector<HostRank> gather_host(Communicator& comm, const HostRank& mine) {
  const std::string node = fmt::format("{}:", comm.node());
  std::vector<HostRank> ranks;
  for (const std::string& text : comm.all_gather_text(
           fmt::format("{}{};{};{}", node, format_processor_list(mine.mask),
                       format_processor_list(mine.cores), format_processor_list(mine.near)))) {
    if (!text.starts_with(node)) continue;
    const std::size_t first = text.find(';');
    const std::size_t second = text.find(';', first + 1);
    ranks.push_back({parse_processor_list(text.substr(node.size(), first - node.size())),
                     parse_processor_list(text.substr(first + 1, second - first - 1)),
                     parse_processor_list(text.substr(second + 1))});
  }
  return ranks;
}

}  // namespace

std::vector<int> processors_near(const std::string& pci, const io::Path& pci_devices) {
  if (pci.empty()) return {};
  const io::Path node = pci_devices / pci / "numa_node";
  const io::Path list = pci_devices / pci / "local_cpulist";
  if (!io::exists(node) || !io::exists(list)) return {};
  // A host of one node, or firmware that does not tell, has -1 here and all processors there.
  if (io::read_system_text(node).starts_with("-")) return {};
  return parse_processor_list(io::read_system_text(list));
}

std::vector<Processor> share_near(std::span<const Processor> mask, std::span<const HostRank> ranks,
                                  std::size_t local_rank) {
  const std::vector<int> pool = pool_of(ranks, ranks[local_rank]);
  RankCores mine;
  for (const Processor& processor : mask) {
    if (contains(pool, processor.id)) mine.mask.push_back(processor);
  }
  std::size_t num_sharing = 0;
  std::size_t position = 0;
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    if (r == local_rank) position = num_sharing;
    if (pool_of(ranks, ranks[r]) == pool) ++num_sharing;
  }
  if (mine.mask.empty()) return {};
  return share_of(std::vector<RankCores>(num_sharing, mine), position);
}

std::string bind_near(Communicator& comm, Placement& placement, const DeviceInfo& device,
                      const io::Path& pci_devices) {
  HostRank mine{.mask = ids_of(placement.allowed), .cores = ids_of(placement.cores), .near = {}};
  if (device.kind != DeviceKind::cpu) mine.near = processors_near(device.pci, pci_devices);
  const std::vector<HostRank> ranks = gather_host(comm, mine);
  if (mine.near.empty()) return "";
  const std::vector<Processor> near =
      share_near(placement.allowed, ranks, static_cast<std::size_t>(comm.local_rank()));
  if (near.empty()) {
    return fmt::format(
        "{} is attached near processors {}, but this rank may use {} only, and what it copies "
        "takes the longer way\n  fix: mpirun --bind-to none (srun --cpu-bind=none)",
        device.name, format_processor_list(mine.near), format_processors(placement.allowed));
  }
  int error = 0;
  const auto bind = [&] {
    if (!bind_to(near)) error = errno;
  };
  bind();
  comm.run(bind);  // it was started before anything was known
  if (error != 0) {
    return fmt::format("cannot bind this rank to the cores {} near {}: {}", format_processors(near),
                       device.name, std::generic_category().message(error));
  }
  placement.cores = near;
  return "";
}

}  // namespace motley
