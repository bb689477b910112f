#include "dist/flight_recorder.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>

namespace motley {
namespace {

/// A recorder whose clock a test moves by hand.
struct Recording {
  double now = 100;
  FlightRecorder recorder{[this] { return now; }};
};

TEST(FlightRecorder, TellsPhaseAndTimes) {
  Recording r;
  r.now += 2;
  EXPECT_EQ(r.recorder.status().phase, Phase::setup);
  EXPECT_DOUBLE_EQ(r.recorder.status().stretch_seconds, 2);
  r.recorder.enter(Phase::compute, 7);
  r.now += 3;
  r.recorder.enter(Phase::reduce, 7);
  r.now += 1;
  const RankStatus status = r.recorder.status();
  EXPECT_EQ(status.phase, Phase::reduce);
  EXPECT_EQ(status.step, 7u);
  EXPECT_DOUBLE_EQ(status.phase_seconds, 1);
  EXPECT_DOUBLE_EQ(status.stretch_seconds, 4) << "a step is one stretch";
  EXPECT_EQ(status.num_steps, 0u);
}

TEST(FlightRecorder, MeasuresSteps) {
  Recording r;
  for (std::uint64_t step = 1; step <= 3; ++step) {
    r.recorder.enter(Phase::compute, step);
    r.now += static_cast<double>(step);
    r.recorder.enter(Phase::update, step);
    r.now += 0.5;
  }
  EXPECT_EQ(r.recorder.step_seconds(), (std::vector<double>{1.5, 2.5})) << "the third still runs";
  r.recorder.enter(Phase::evaluate, 3);
  r.now += 50;
  r.recorder.enter(Phase::compute, 4);
  EXPECT_EQ(r.recorder.step_seconds(), (std::vector<double>{1.5, 2.5, 3.5}));
  EXPECT_EQ(r.recorder.status().num_steps, 3u);
}

TEST(FlightRecorder, KeepsTheNewestStepTimes) {
  Recording r;
  const std::uint64_t steps = FlightRecorder::num_step_times + 7;
  for (std::uint64_t step = 0; step <= steps; ++step) {
    r.recorder.enter(Phase::compute, step);
    r.now += static_cast<double>(step);
  }
  const std::vector<double> times = r.recorder.step_seconds();
  ASSERT_EQ(times.size(), FlightRecorder::num_step_times);
  EXPECT_DOUBLE_EQ(times.front(), 7);
  EXPECT_DOUBLE_EQ(times.back(), static_cast<double>(steps) - 1);
}

TEST(FlightRecorder, RenewsALongPhase) {
  Recording r;
  r.recorder.enter(Phase::evaluate, 10);
  r.now += 30;
  r.recorder.renew();
  r.now += 5;
  EXPECT_DOUBLE_EQ(r.recorder.status().stretch_seconds, 5);
  EXPECT_DOUBLE_EQ(r.recorder.status().phase_seconds, 35);
  EXPECT_EQ(r.recorder.snapshot().phases.size(), 1u);
}

TEST(FlightRecorder, DoesNotRenewAStep) {
  Recording r;
  r.recorder.enter(Phase::compute, 10);
  r.now += 30;
  r.recorder.renew();
  EXPECT_DOUBLE_EQ(r.recorder.status().stretch_seconds, 30);
}

TEST(FlightRecorder, TellsTheInnermostOperation) {
  Recording r;
  EXPECT_EQ(r.recorder.status().operation_name(), "");
  r.recorder.begin("reduce-scatter", 3, -1, 4096);
  r.now += 1;
  r.recorder.begin("receive", 3, 2, 64);
  r.now += 1;
  RankStatus status = r.recorder.status();
  EXPECT_EQ(status.operation_name(), "receive");
  EXPECT_EQ(status.peer, 2);
  EXPECT_DOUBLE_EQ(status.operation_seconds, 1);
  r.recorder.end();
  status = r.recorder.status();
  EXPECT_EQ(status.operation_name(), "reduce-scatter");
  EXPECT_EQ(status.bucket, 3);
  EXPECT_DOUBLE_EQ(status.operation_seconds, 2);
  r.recorder.end();
  EXPECT_EQ(r.recorder.status().operation_name(), "");
  r.recorder.end();
  EXPECT_EQ(r.recorder.status().sequence, 2u) << "an end without a beginning does nothing";
}

TEST(FlightRecorder, SurvivesDeepNesting) {
  Recording r;
  const std::size_t depth = FlightRecorder::max_depth + 3;
  for (std::size_t i = 0; i < depth; ++i) r.recorder.begin("nested", static_cast<int>(i));
  for (std::size_t i = 0; i < depth; ++i) r.recorder.end();
  EXPECT_EQ(r.recorder.status().operation_name(), "");
  r.recorder.begin("next");
  EXPECT_EQ(r.recorder.status().operation_name(), "next");
}

TEST(FlightRecorder, KeepsTheLastOperations) {
  Recording r;
  const std::uint64_t count = FlightRecorder::num_operations + 10;
  for (std::uint64_t i = 1; i <= count; ++i) {
    r.recorder.begin("send", static_cast<int>(i));
    r.recorder.end();
  }
  const FlightSnapshot snapshot = r.recorder.snapshot();
  ASSERT_EQ(snapshot.operations.size(), FlightRecorder::num_operations);
  EXPECT_EQ(snapshot.operations.front().sequence, 11u);
  EXPECT_EQ(snapshot.operations.front().bucket, 11);
  EXPECT_EQ(snapshot.operations.back().sequence, count);
}

TEST(FlightRecorder, ForgetsAnOuterOperationThatFellOutOfTheRing) {
  Recording r;
  r.recorder.begin("outer");
  for (std::size_t i = 0; i < FlightRecorder::num_operations; ++i) {
    r.recorder.begin("inner");
    r.recorder.end();
  }
  EXPECT_EQ(r.recorder.status().operation_name(), "");
  r.recorder.end();
  for (const RecordedOperation& op : r.recorder.snapshot().operations) {
    EXPECT_STREQ(op.name.data(), "inner");
    EXPECT_GE(op.ended, op.began);
  }
}

TEST(FlightRecorder, CutsLongNames) {
  Recording r;
  r.recorder.begin(std::string(200, 'x'));
  EXPECT_EQ(r.recorder.status().operation_name(), std::string(RankStatus::max_name, 'x'));
}

TEST(FlightRecorder, DumpsReadableText) {
  Recording r;
  r.recorder.enter(Phase::compute, 7);
  r.recorder.begin("all-gather", 2, -1, 1 << 20);
  r.now += 0.25;
  r.recorder.end();
  r.recorder.enter(Phase::reduce, 7);
  r.recorder.begin("reduce-scatter", 3, 1, 4096);
  r.now += 12;
  const std::string text = format_dump(r.recorder.snapshot());
  for (const char* part :
       {"now: step 7, reduce, in 'reduce-scatter bucket 3' with rank 1 for 12.0 s",
        "step 7 compute", "'all-gather bucket 2'", "0.250000", "1048576", "under way"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " is not in\n" << text;
  }
}

TEST(FlightRecorder, IsReadWhileItIsWritten) {
  FlightRecorder recorder;
  std::atomic<bool> done = false;
  std::thread communication([&] {
    for (int i = 0; i < 20000; ++i) {
      recorder.begin("exchange", i);
      recorder.end();
    }
  });
  std::thread watchdog([&] {
    while (!done) {
      const FlightSnapshot snapshot = recorder.snapshot();
      std::uint64_t last = 0;
      for (const RecordedOperation& op : snapshot.operations) {
        EXPECT_GT(op.sequence, last);
        last = op.sequence;
      }
    }
  });
  for (std::uint64_t step = 1; step <= 2000; ++step) {
    recorder.enter(Phase::compute, step);
    recorder.enter(Phase::reduce, step);
  }
  communication.join();
  done = true;
  watchdog.join();
  EXPECT_EQ(recorder.status().sequence, 20000u);
  EXPECT_EQ(recorder.status().num_steps, 1999u);
}

}  // namespace
}  // namespace motley
