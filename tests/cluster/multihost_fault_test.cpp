// What happens to a job of three hosts when one of them fails: whom it names, how it ends, and that
// it ends on all hosts.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "tests/cluster/background_job.h"
#include "tests/cluster/cluster_run.h"

namespace motley {
namespace {

using test::BackgroundJob;
using test::expect_ok;
using test::process_of_rank;

/// A lost peer, as README's table of exit codes has it.
constexpr int peer_lost = 8;

class MultiHostFault : public test::ClusterRun {
 protected:
  /// A job that would go on for ever; a step may take 4 s. Returns when it is in its fourth step.
  std::unique_ptr<BackgroundJob> start() const {
    auto job = std::make_unique<BackgroundJob>(
        "mpirun " + train("job", "--train.steps 1000000 --dist.step_timeout 4"), at("output"));
    EXPECT_TRUE(job->prints("step      3/")) << job->output();
    return job;
  }

  /// Rank 1 runs on n2.
  static void send_to_rank_1(int signal) {
    const int process = process_of_rank(1);
    ASSERT_GT(process, 0);
    ASSERT_EQ(::kill(process, signal), 0);
  }

  /// CTest's limit ends this loop when a rank stays behind.
  static void expect_no_rank_left() {
    for (int rank = 0; rank < 3; ++rank) {
      while (process_of_rank(rank) > 0) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }
};

TEST_F(MultiHostFault, AStoppedRankIsNamed) {
  const auto job = start();
  send_to_rank_1(SIGSTOP);
  EXPECT_EQ(job->wait(), peer_lost) << job->output();
  expect_mentions(job->output(), "rank 1 on n2");
  expect_mentions(job->output(), "not been heard of");
  expect_no_rank_left();
}

/// mpirun hears of the death from the daemon of n2 and names the rank, unless Open MPI in a rank
/// that was just writing to the dead one is quicker to give the job up.
TEST_F(MultiHostFault, AKilledRankIsNamed) {
  constexpr int given_up_by_open_mpi = 255;
  const auto job = start();
  send_to_rank_1(SIGKILL);
  const int code = job->wait();
  if (code == given_up_by_open_mpi) {
    expect_mentions(job->output(), "btl_tcp");
    expect_mentions(job->output(), "writev failed: ");
  } else {
    EXPECT_EQ(code, 128 + SIGKILL) << job->output();
    expect_mentions(job->output(), "process rank 1 with PID");
    expect_mentions(job->output(), "on node n2 exited on signal 9");
  }
  expect_no_rank_left();
}

/// mpirun must tell n2 to end its rank. How long the kernel tries to deliver that is up to
/// tcp_retries2: by default a quarter of an hour, with 5 some 15 s.
TEST_F(MultiHostFault, ARankWhoseLinkIsCutIsNamed) {
  for (const std::string host : {"n1", "n2", "n3"})
    expect_ok("on.sh " + host + " 'echo 5 > /proc/sys/net/ipv4/tcp_retries2'");
  const auto job = start();
  expect_ok("link.sh n2 down");
  EXPECT_EQ(job->wait(), peer_lost) << job->output();
  expect_mentions(job->output(), "rank 1 on n2");
  // The rank that is cut off finds that out on its own.
  expect_no_rank_left();
}

}  // namespace
}  // namespace motley
