// Faults that can be seen inside a process; tests/launch has those that end one.
#include "train/inject.h"

#include <gtest/gtest.h>

#include <vector>

#include "dist/thread_comm.h"
#include "tensor/error.h"
#include "tests/scratch_directory.h"
#include "tests/train/tiny_training.h"
#include "train/replica_check.h"

namespace motley {
namespace {

/// What the step of a three-rank job came to in which rank 1 has a fault.
std::vector<StepResult> run_with(const std::vector<Fault>& faults, std::uint64_t num_steps) {
  std::vector<StepResult> results;
  run_ranks(3, [&](Communicator& comm) {
    TrainStep train(test::device_of(comm.rank()), comm, test::tiny_llama(), {}, {});
    train.initialize(7);
    Injector injector(faults, comm.rank());
    injector.attach(train);
    const LeafPlan plan = even_plan(6, train.rank_order());
    for (std::uint64_t step = 1; step <= num_steps; ++step) {
      injector.before_step(comm, step);
      const StepResult result = train.run(
          plan,
          [&](std::size_t) { return test::hashed_leaf(67, static_cast<std::uint32_t>(step)); },
          {.learning_rate = 1e-2f, .step = step});
      if (comm.rank() == 0) results.push_back(result);
    }
  });
  return results;
}

TEST(Injector, PutsNotANumberIntoTheFirstBucketOfItsStep) {
  const auto results = run_with({{.rank = 1, .step = 2, .kind = FaultKind::nan}}, 3);
  EXPECT_EQ(results[0].non_finite, 0u);
  EXPECT_GT(results[1].non_finite, 0u);
  EXPECT_EQ(results[1].first_bad_rank, 1);
  EXPECT_EQ(results[1].first_bad_bucket, 0);
  EXPECT_EQ(results[2].non_finite, 0u);
}

TEST(Injector, SlowsARankWithoutChangingABit) {
  const auto plain = run_with({}, 3);
  const auto slowed = run_with({{.rank = 1, .step = 1, .kind = FaultKind::slow, .factor = 5}}, 3);
  for (std::size_t step = 0; step < 3; ++step) {
    EXPECT_EQ(slowed[step].loss, plain[step].loss);
    EXPECT_EQ(slowed[step].gradient_norm, plain[step].gradient_norm);
  }
}

TEST(Injector, FlipsABitThatTheOtherRanksNotice) {
  for (const int faulty : {0, 1, 2}) {
    run_ranks(3, [&](Communicator& comm) {
      TrainStep train(test::device_of(comm.rank()), comm, test::tiny_llama(), {}, {});
      train.initialize(7);
      Injector injector({{.rank = faulty, .step = 1, .kind = FaultKind::flip_bit}}, comm.rank());
      Stream& s = train.device().stream();
      injector.before_step(comm, 1);
      test::train_steps(train, 0, 1);
      EXPECT_NO_THROW(check_replicas(comm, s, train.params(), 1));
      injector.after_update(train);
      const std::string message =
          message_of<NumericError>([&] { check_replicas(comm, s, train.params(), 1); });
      const std::string expected = "after step 1 the parameters of rank " + std::to_string(faulty);
      EXPECT_NE(message.find(expected), std::string::npos) << message;
      EXPECT_NE(message.find("(bucket 0)"), std::string::npos) << message;
    });
  }
}

}  // namespace
}  // namespace motley
