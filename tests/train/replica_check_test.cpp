#include "train/replica_check.h"

#include <gtest/gtest.h>

#include "dist/thread_comm.h"
#include "tensor/error.h"
#include "tests/scratch_directory.h"
#include "tests/train/tiny_training.h"

namespace motley {
namespace {

using Hashes = std::vector<std::uint64_t>;
using Found = std::vector<Divergence>;

TEST(FindDivergence, FindsNothingInEqualRanks) {
  EXPECT_EQ(find_divergence(Hashes{1, 2, 1, 2, 1, 2}, 2), Found{});
  EXPECT_EQ(find_divergence(Hashes{1, 2}, 2), Found{}) << "one rank";
  EXPECT_EQ(find_divergence(Hashes{}, 0), Found{});
}

TEST(FindDivergence, NamesTheMinorityInEachBucket) {
  EXPECT_EQ(find_divergence(Hashes{1, 2, 1, 2, 1, 9}, 2), (Found{{2, {1}}}));
  EXPECT_EQ(find_divergence(Hashes{8, 9, 1, 2, 1, 2}, 2), (Found{{0, {0, 1}}}));
  EXPECT_EQ(find_divergence(Hashes{8, 2, 1, 2, 1, 9}, 2), (Found{{0, {0}}, {2, {1}}}));
}

TEST(FindDivergence, TrustsTheLowestRankInATie) {
  EXPECT_EQ(find_divergence(Hashes{1, 2}, 1), (Found{{1, {0}}}));
  EXPECT_EQ(find_divergence(Hashes{1, 2, 3}, 1), (Found{{1, {0}}, {2, {0}}}));
  EXPECT_EQ(find_divergence(Hashes{1, 2, 2, 1}, 1), (Found{{1, {0}}, {2, {0}}}));
  EXPECT_EQ(find_divergence(Hashes{9, 2, 2, 3, 3}, 1), (Found{{0, {0}}, {3, {0}}, {4, {0}}}));
}

TEST(CheckReplicas, AcceptsEqualOnesAndNamesOthersOnEveryRank) {
  run_ranks(3, [](Communicator& comm) {
    TrainStep train(test::device_of(comm.rank()), comm, test::tiny_gpt2(), {}, {});
    train.initialize(7);
    Stream& s = train.device().stream();
    EXPECT_NO_THROW(check_replicas(comm, s, train.params(), 5));
    const std::size_t last = train.params().buckets().size() - 1;
    if (comm.rank() == 1) {
      const HostView<float> view =
          s.map<float>(train.params().buckets()[last].values, Access::read_write);
      view.span().back() += 1.0f;  // padding counts as well: it must stay zero
    }
    const std::string message =
        message_of<NumericError>([&] { check_replicas(comm, s, train.params(), 5); });
    for (const std::string& part :
         {std::string("after step 5 the parameters of rank 1 on "),
          "(bucket " + std::to_string(last) + ")", std::string("fix: resume")}) {
      EXPECT_NE(message.find(part), std::string::npos) << part << " is not in " << message;
    }
  });
}

}  // namespace
}  // namespace motley
