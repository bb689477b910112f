#include "dist/topology.h"

#include <algorithm>
#include <numeric>

namespace motley {

std::vector<int> Topology::order() const {
  std::vector<int> all;
  for (const std::vector<int>& ranks : hosts) all.insert(all.end(), ranks.begin(), ranks.end());
  return all;
}

std::vector<int> Topology::order_across() const {
  std::vector<int> all;
  for (std::size_t index = 0; all.size() < host_of.size(); ++index) {
    for (const std::vector<int>& ranks : hosts) {
      if (index < ranks.size()) all.push_back(ranks[index]);
    }
  }
  return all;
}

Topology topology_of(const std::vector<int>& nodes) {
  Topology topology;
  std::vector<int> seen;
  for (std::size_t rank = 0; rank < nodes.size(); ++rank) {
    const auto found = std::find(seen.begin(), seen.end(), nodes[rank]);
    const auto host = static_cast<std::size_t>(found - seen.begin());
    if (found == seen.end()) {
      seen.push_back(nodes[rank]);
      topology.hosts.emplace_back();
    }
    topology.host_of.push_back(static_cast<int>(host));
    topology.index_of.push_back(static_cast<int>(topology.hosts[host].size()));
    topology.hosts[host].push_back(static_cast<int>(rank));
  }
  return topology;
}

Topology find_topology(Communicator& comm) {
  std::vector<int> nodes(static_cast<std::size_t>(comm.size()));
  const int mine = comm.node();
  comm.all_gather(std::as_writable_bytes(std::span(nodes)), std::as_bytes(std::span(&mine, 1)));
  return topology_of(nodes);
}

Topology separate_hosts(int num_ranks) {
  std::vector<int> nodes(static_cast<std::size_t>(num_ranks));
  std::iota(nodes.begin(), nodes.end(), 0);
  return topology_of(nodes);
}

}  // namespace motley
