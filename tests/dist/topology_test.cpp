#include "dist/topology.h"

#include <gtest/gtest.h>

namespace motley {
namespace {

using Ranks = std::vector<int>;

TEST(Topology, GroupsRanksByHost) {
  const Topology topology = topology_of({5, 5, 9, 5, 9});
  EXPECT_EQ(topology.hosts, (std::vector<Ranks>{{0, 1, 3}, {2, 4}}));
  EXPECT_EQ(topology.host_of, (Ranks{0, 0, 1, 0, 1}));
  EXPECT_EQ(topology.index_of, (Ranks{0, 1, 0, 2, 1}));
}

TEST(Topology, OrdersRanksHostByHostAndAcrossHosts) {
  const Topology topology = topology_of({5, 5, 9, 5, 9});
  EXPECT_EQ(topology.order(), (Ranks{0, 1, 3, 2, 4}));
  EXPECT_EQ(topology.order_across(), (Ranks{0, 2, 1, 4, 3}));
  EXPECT_EQ(separate_hosts(3).order_across(), (Ranks{0, 1, 2}));
}

}  // namespace
}  // namespace motley
