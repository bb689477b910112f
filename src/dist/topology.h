// Which ranks share a host.
#pragma once

#include <vector>

#include "dist/communicator.h"

namespace motley {

/// The ranks of a job by host. The same on all ranks.
struct Topology {
  std::vector<std::vector<int>> hosts;  // by each host's lowest rank; ranks ascending
  std::vector<int> host_of;             // by rank: index into `hosts`
  std::vector<int> index_of;            // by rank: its place among its host's ranks

  /// All ranks, host after host: neighbours in this order are on one host where possible. Leaves of
  /// a step are handed out in this order.
  std::vector<int> order() const;
  /// All ranks, one of each host in turn: neighbours in this order are on different hosts where
  /// possible. Work between hosts is handed out in this order.
  std::vector<int> order_across() const;
};

/// Collective.
Topology find_topology(Communicator& comm);

/// Every rank on a host of its own: for ranks that cannot share memory.
Topology separate_hosts(int num_ranks);

/// From each rank's host, named by any number.
Topology topology_of(const std::vector<int>& nodes);

}  // namespace motley
