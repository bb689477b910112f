#include "dist/leaf_balancer.h"

#include <gtest/gtest.h>

#include <numeric>

#include "dist/self_comm.h"
#include "dist/thread_comm.h"

namespace motley {
namespace {

using Counts = std::vector<std::size_t>;

std::vector<int> in_rank_order(int num_ranks) {
  std::vector<int> order(static_cast<std::size_t>(num_ranks));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

/// Ranks whose leaves take given times, for a number of steps.
class Fleet {
 public:
  Fleet(Communicator& comm, std::size_t leaves, const BalanceOptions& options = {})
      : balancer(comm, in_rank_order(comm.size()), leaves, 0, options) {}

  void train(const std::vector<double>& leaf_seconds, std::uint64_t steps) {
    for (std::uint64_t i = 0; i < steps; ++i) {
      const Counts counts = balancer.schedule().plan(steps_done).counts();
      std::vector<RankWork> work;
      for (std::size_t r = 0; r < counts.size(); ++r)
        work.push_back({counts[r], static_cast<double>(counts[r]) * leaf_seconds[r], 0});
      ++steps_done;
      if (const auto change = balancer.after_step(steps_done, work)) changes.push_back(*change);
    }
  }
  Counts counts() const { return balancer.schedule().plan(steps_done).counts(); }

  LeafBalancer balancer;
  std::uint64_t steps_done = 0;
  std::vector<PlanChange> changes;
};

void on_ranks(int num_ranks, std::size_t leaves,
              const std::function<void(Communicator&, Fleet&)>& body,
              const BalanceOptions& options = {}) {
  run_ranks(num_ranks, [&](Communicator& comm) {
    Fleet fleet(comm, leaves, options);
    body(comm, fleet);
  });
}

TEST(LeafBalancer, KeepsAnEvenPlanForEqualRanks) {
  on_ranks(3, 12, [](Communicator&, Fleet& fleet) {
    fleet.train({1, 1.02, 0.99}, 100);
    EXPECT_TRUE(fleet.changes.empty());
    EXPECT_EQ(fleet.counts(), (Counts{4, 4, 4}));
  });
}

// What is three times as much of next to nothing is next to nothing.
TEST(LeafBalancer, TakesShortDifferencesForNoise) {
  on_ranks(3, 6, [](Communicator&, Fleet& fleet) {
    for (int i = 0; i < 5; ++i) {
      fleet.train({0.0003, 0.0009, 0.0003}, 30);
      fleet.train({0.0009, 0.0003, 0.0003}, 30);
    }
    EXPECT_TRUE(fleet.changes.empty());
    EXPECT_EQ(fleet.counts(), (Counts{2, 2, 2}));
  });
  // With more leaves it is not.
  on_ranks(3, 60, [](Communicator&, Fleet& fleet) {
    fleet.train({0.0003, 0.0009, 0.0003}, 30);
    EXPECT_LT(fleet.counts()[1], 20u);
  });
}

TEST(LeafBalancer, PlansAroundARankThatBecomesThreeTimesAsSlowWithinFiftySteps) {
  on_ranks(3, 12, [](Communicator& comm, Fleet& fleet) {
    fleet.train({1, 1, 1}, 25);
    fleet.train({1, 3, 1}, 50);
    // The best there is: 5, 2 and 5 leaves end after 6 s, 4 each after 12.
    EXPECT_EQ(fleet.counts()[1], 2u);
    EXPECT_LE(std::max(fleet.counts()[0], fleet.counts()[2]), 6u);
    if (comm.rank() != 0) return;
    ASSERT_FALSE(fleet.changes.empty());
    const PlanChange& first = fleet.changes.front();
    EXPECT_EQ(first.step, 30u);
    EXPECT_EQ(first.first_step, 34u);
    EXPECT_EQ(first.rank, 1);
    EXPECT_GT(first.excess, 0.2);
    EXPECT_GT(first.gain, 0.04);
  });
}

TEST(LeafBalancer, GivesLeavesBackWhenTheRankRecovers) {
  on_ranks(2, 8, [](Communicator&, Fleet& fleet) {
    fleet.train({1, 3}, 60);
    EXPECT_EQ(fleet.counts(), (Counts{6, 2}));
    fleet.train({1, 1}, 80);
    EXPECT_EQ(fleet.counts(), (Counts{4, 4}));
  });
}

TEST(LeafBalancer, LeavesOutARankThatOnlyDelaysAndMeasuresItSeldom) {
  on_ranks(3, 6, [](Communicator& comm, Fleet& fleet) {
    fleet.train({1, 1, 5}, 30);
    EXPECT_EQ(fleet.counts()[2], 0u);
    if (comm.rank() == 0) {
      ASSERT_EQ(fleet.changes.size(), 1u);
      EXPECT_EQ(fleet.changes[0].left_out, std::vector<int>{2});
    }
    // Its leaf takes 2 s longer than the others' 3 s: two such steps are 1 % of 133 others.
    fleet.train({1, 1, 5}, 600);
    if (comm.rank() == 0) {
      EXPECT_GE(fleet.changes.size(), 4u);
      EXPECT_LE(fleet.changes.size(), 6u);
      EXPECT_EQ(fleet.changes.back().reason, PlanReason::measure);
    }
    fleet.train({1, 1, 1}, 300);
    EXPECT_EQ(fleet.counts(), (Counts{2, 2, 2}));
  });
}

TEST(LeafBalancer, MeasuresRanksThatNeverHadALeafAndUsesTheFastest) {
  on_ranks(4, 2, [](Communicator&, Fleet& fleet) {
    EXPECT_EQ(fleet.counts(), (Counts{1, 1, 0, 0}));
    fleet.train({4, 4, 1, 1}, 100);
    EXPECT_EQ(fleet.counts(), (Counts{0, 0, 1, 1}));
  });
}

TEST(LeafBalancer, ChangesOnlyStepsThatNobodyCanHaveReadAhead) {
  on_ranks(2, 4,
           [](Communicator&, Fleet& fleet) {
             for (int i = 0; i < 100; ++i) {
               const std::uint64_t begun = fleet.steps_done;
               std::vector<LeafPlan> asked;
               for (std::uint64_t ahead = 0; ahead <= 3; ++ahead)
                 asked.push_back(fleet.balancer.schedule().plan(begun + ahead));
               fleet.train({1, i < 50 ? 3.0 : 1.0}, 1);
               for (std::uint64_t ahead = 1; ahead <= 3; ++ahead)
                 EXPECT_EQ(fleet.balancer.schedule().plan(begun + ahead), asked[ahead]);
             }
           },
           {.replan_every = 1, .steps_ahead = 3});
}

TEST(LeafBalancer, NeverPlansAgainWhenToldSo) {
  on_ranks(2, 4,
           [](Communicator&, Fleet& fleet) {
             fleet.train({1, 9}, 100);
             EXPECT_EQ(fleet.counts(), (Counts{2, 2}));
           },
           {.replan_every = 0});
  SelfComm self;
  Fleet alone(self, 4);
  alone.train({1}, 50);
  EXPECT_EQ(alone.counts(), Counts{4});
}

TEST(FormatLeaves, JoinsNeighboursOfLargeFleets) {
  const auto format = [](const Counts& counts) {
    return format_leaves(plan_of_counts(counts, in_rank_order(static_cast<int>(counts.size()))));
  };
  EXPECT_EQ(format({4, 4, 3, 0}), "4+4+3+0");
  EXPECT_EQ(format(Counts(12, 4)), "12 x 4");
  EXPECT_EQ(format({4, 4, 4, 4, 4, 4, 3, 3, 3}), "6 x 4 + 3 x 3");
}

}  // namespace
}  // namespace motley
