#include "dist/heartbeat.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "dist/self_comm.h"
#include "dist/thread_comm.h"
#include "tensor/error.h"

namespace motley {
namespace {

/// Messages between ranks, by sender and receiver. A link that is cut keeps what is sent.
struct Network {
  std::map<std::pair<int, int>, std::deque<Heartbeat>> arrived;
  bool is_cut = false;
  bool fails = false;
};

class FakeLink final : public HeartbeatLink {
 public:
  FakeLink(Network& network, int rank) : network_(network), rank_(rank) {}
  void send(int to, const Heartbeat& beat) override {
    if (network_.fails) fail<CommError>("comm.mpi", "the wire is broken");
    if (!network_.is_cut) network_.arrived[{rank_, to}].push_back(beat);
  }
  bool receive(int from, Heartbeat& beat) override {
    std::deque<Heartbeat>& queue = network_.arrived[{from, rank_}];
    if (network_.is_cut || queue.empty()) return false;
    beat = queue.front();
    queue.pop_front();
    return true;
  }

 private:
  Network& network_;
  int rank_;
};

class FakeComm final : public Communicator {
 public:
  FakeComm(int rank, int size)
      : Communicator({.rank = rank, .size = size, .local_rank = rank, .local_size = size},
                     nullptr) {}
  std::unique_ptr<Transfers> transfers() override { return nullptr; }
};

/// Three ranks with a common clock that the test moves.
class HeartbeatsOfThree : public testing::Test {
 protected:
  static constexpr int size = 3;
  HeartbeatsOfThree() {
    for (int rank = 0; rank < size; ++rank) {
      comms_.push_back(std::make_unique<FakeComm>(rank, size));
      ranks_.push_back(std::make_unique<Heartbeats>(*comms_.back(), comms_.back()->recorder(),
                                                    std::make_unique<FakeLink>(network_, rank),
                                                    [this] { return now_; }));
    }
  }
  void pump_all() {
    for (auto& rank : ranks_) rank->pump();
    for (auto& rank : ranks_) rank->pump();
  }
  Heartbeats& at(int rank) { return *ranks_[static_cast<std::size_t>(rank)]; }
  FlightRecorder& recorder(int rank) { return comms_[static_cast<std::size_t>(rank)]->recorder(); }

  double now_ = 100;
  Network network_;
  std::vector<std::unique_ptr<FakeComm>> comms_;
  std::vector<std::unique_ptr<Heartbeats>> ranks_;
};

TEST_F(HeartbeatsOfThree, TellRankZeroWhatTheOthersDo) {
  recorder(2).enter(Phase::reduce, 7);
  recorder(2).begin("reduce", 3, 1);
  pump_all();
  const Heard heard = at(0).heard(2);
  EXPECT_EQ(heard.status.step, 7u);
  EXPECT_EQ(heard.status.phase, Phase::reduce);
  EXPECT_EQ(heard.status.operation_name(), "reduce");
  EXPECT_EQ(heard.status.bucket, 3);
  EXPECT_EQ(heard.age, 0);
}

TEST_F(HeartbeatsOfThree, TellTheOthersThatRankZeroLives) {
  recorder(0).enter(Phase::compute, 4);
  pump_all();
  now_ += 2;
  EXPECT_EQ(at(1).heard(0).status.step, 4u);
  EXPECT_EQ(at(1).heard(0).age, 2);
  pump_all();
  EXPECT_EQ(at(1).heard(0).age, 0);
}

TEST_F(HeartbeatsOfThree, AreSentOnceASecond) {
  pump_all();
  for (int i = 0; i < 9; ++i) {
    now_ += 0.1;
    at(1).pump();
  }
  EXPECT_TRUE((network_.arrived[{1, 0}].empty()));
  now_ += 0.2;
  for (int i = 0; i < 5; ++i) at(1).pump();
  EXPECT_EQ((network_.arrived[{1, 0}].size()), 1u);
}

TEST_F(HeartbeatsOfThree, AgeWhenTheLinkIsCut) {
  pump_all();
  network_.is_cut = true;
  now_ += 20;
  pump_all();
  EXPECT_EQ(at(0).heard(1).age, 20);
  EXPECT_EQ(at(1).heard(0).age, 20);
  EXPECT_EQ(at(0).link_age(), 0) << "the thread itself runs";
  at(0).forgive();
  EXPECT_EQ(at(0).heard(1).age, 0);
}

TEST_F(HeartbeatsOfThree, KnowWhenTheirOwnThreadStands) {
  pump_all();
  now_ += 9;
  EXPECT_EQ(at(1).link_age(), 9);
}

TEST_F(HeartbeatsOfThree, CountFromTheBeginningBeforeTheFirstMessage) {
  now_ += 6;
  EXPECT_EQ(at(0).heard(2).age, 6);
}

TEST_F(HeartbeatsOfThree, CarryTheOrderToDumpAndTheAnswer) {
  pump_all();
  std::uint64_t step = 0;
  EXPECT_FALSE(at(1).dump_ordered(step));
  at(0).order_dump(42);
  now_ += 0.1;  // at once, not with the next second
  pump_all();
  EXPECT_TRUE(at(1).dump_ordered(step));
  EXPECT_EQ(step, 42u);
  EXPECT_FALSE(at(0).heard(1).dumped);
  at(1).report_dumped();
  pump_all();
  EXPECT_TRUE(at(0).heard(1).dumped);
  EXPECT_FALSE(at(0).heard(2).dumped);
}

TEST_F(HeartbeatsOfThree, StopWhenClosed) {
  pump_all();
  at(1).close();
  now_ += 5;
  pump_all();
  EXPECT_EQ(at(0).heard(1).age, 5);
  EXPECT_EQ(at(0).heard(2).age, 0);
}

TEST_F(HeartbeatsOfThree, GiveUpAFailedLinkWithoutThrowing) {
  network_.fails = true;
  EXPECT_NO_THROW(at(1).pump());
  EXPECT_FALSE(at(1).has_link());
  now_ += 50;
  at(1).pump();
  EXPECT_EQ(at(1).link_age(), 0);
}

TEST(Heartbeats, AreSilentWithoutALink) {
  SelfComm comm("here");
  Heartbeats alone(comm, comm.recorder(), open_heartbeat_link(comm), [] { return 5.0; });
  EXPECT_FALSE(alone.has_link());
  alone.pump();
  EXPECT_EQ(alone.link_age(), 0);
}

TEST(Heartbeats, HaveNoLinkBetweenThreads) {
  run_ranks(2, [](Communicator& comm) { EXPECT_EQ(open_heartbeat_link(comm), nullptr); });
}

}  // namespace
}  // namespace motley
