// The communicator cases on one process and on threads, and what threads alone can show: that a
// rank's failure reaches the others.
#include "dist/communicator.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <atomic>
#include <tuple>

#include "comm_cases.h"
#include "dist/self_comm.h"
#include "dist/thread_comm.h"
#include "exchange_cases.h"
#include "tensor/error.h"

namespace motley {
namespace {

class Self : public testing::TestWithParam<CommCase> {};

TEST_P(Self, Holds) {
  SelfComm comm;
  GetParam().run(comm);
}

INSTANTIATE_TEST_SUITE_P(Cases, Self, testing::ValuesIn(comm_cases()),
                         [](const auto& row) { return row.param.name; });

class Threads : public testing::TestWithParam<std::tuple<int, CommCase>> {};

TEST_P(Threads, Hold) {
  run_ranks(std::get<0>(GetParam()), std::get<1>(GetParam()).run);
}

INSTANTIATE_TEST_SUITE_P(Cases, Threads,
                         testing::Combine(testing::Values(1, 2, 3, 4, 6, 8),
                                          testing::ValuesIn(comm_cases())),
                         [](const auto& row) {
                           return fmt::format("{}On{}", std::get<1>(row.param).name,
                                              std::get<0>(row.param));
                         });

INSTANTIATE_TEST_SUITE_P(Exchange, Self, testing::ValuesIn(exchange_cases()),
                         [](const auto& row) { return row.param.name; });
INSTANTIATE_TEST_SUITE_P(Exchange, Threads,
                         testing::Combine(testing::Values(1, 2, 3, 4, 6, 8),
                                          testing::ValuesIn(exchange_cases())),
                         [](const auto& row) {
                           return fmt::format("{}On{}", std::get<1>(row.param).name,
                                              std::get<0>(row.param));
                         });

/// Ranks that believe to be on several hosts: as many on each, fewer on the last, one on each.
class Hosts : public testing::TestWithParam<std::tuple<std::pair<int, int>, CommCase>> {};

TEST_P(Hosts, Hold) {
  const auto [ranks, per_host] = std::get<0>(GetParam());
  run_ranks(ranks, std::get<1>(GetParam()).run, per_host);
}

INSTANTIATE_TEST_SUITE_P(Exchange, Hosts,
                         testing::Combine(testing::Values(std::pair(4, 2), std::pair(5, 2),
                                                          std::pair(7, 3), std::pair(3, 1)),
                                          testing::ValuesIn(exchange_cases())),
                         [](const auto& row) {
                           return fmt::format("{}On{}By{}", std::get<1>(row.param).name,
                                              std::get<0>(row.param).first,
                                              std::get<0>(row.param).second);
                         });

TEST(RunRanks, RethrowsTheErrorThatOthersWaitedFor) {
  try {
    run_ranks(4, [](Communicator& comm) {
      comm.barrier();
      if (comm.rank() == 2) fail<DataError>("data.magic", "bad shard");
      comm.barrier();
    });
    FAIL() << "no error";
  } catch (const DataError& error) {
    EXPECT_STREQ(error.what(), "bad shard");
  }
}

TEST(RunRanks, EndsWhenARankReturnsEarly) {
  EXPECT_THROW(run_ranks(3,
                         [](Communicator& comm) {
                           if (comm.rank() != 1) comm.barrier();
                         }),
               CommError);
}

TEST(RunRanks, StaysBrokenForARankThatGoesOn) {
  std::atomic<int> num_refused = 0;
  const auto body = [&](Communicator& comm) {
    if (comm.rank() == 0) throw DataError("data.magic", "bad shard");
    for (int i = 0; i < 3; ++i) {
      try {
        comm.barrier();
      } catch (const CommError&) {
        ++num_refused;
      }
    }
  };
  EXPECT_THROW(run_ranks(2, body), DataError);
  EXPECT_EQ(num_refused, 3);
}

TEST(RunRanks, RefusesCollectivesOfUnequalSizes) {
  EXPECT_THROW(run_ranks(2,
                         [](Communicator& comm) {
                           std::vector<std::byte> bytes(comm.rank() == 0 ? 4 : 5);
                           comm.broadcast(bytes, 0);
                         }),
               CommError);
}

TEST(RunRanks, NeedsARank) {
  EXPECT_THROW(run_ranks(0, [](Communicator&) {}), ConfigError);
}

}  // namespace
}  // namespace motley
