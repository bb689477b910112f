#include "dist/flight_recorder.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "tensor/clock.h"

namespace motley {
namespace {

/// "'reduce-scatter bucket 3' with rank 1"; bucket and peer where there are any.
std::string describe_operation(std::string_view name, int bucket, int peer) {
  std::string text = fmt::format("'{}", name);
  if (bucket >= 0) text += fmt::format(" bucket {}", bucket);
  text += '\'';
  if (peer >= 0) text += fmt::format(" with rank {}", peer);
  return text;
}

}  // namespace

std::string_view name_of(Phase phase) {
  switch (phase) {
    case Phase::device:
      return "opening the device";
    case Phase::setup:
      return "setup";
    case Phase::compute:
      return "compute";
    case Phase::reduce:
      return "reduce";
    case Phase::update:
      return "update";
    case Phase::evaluate:
      return "evaluate";
    case Phase::sample:
      return "sample";
    case Phase::save:
      return "save";
    case Phase::finish:
      return "finish";
  }
  return "unknown";  // a heartbeat from another build
}

bool is_in_step(Phase phase) {
  return phase == Phase::compute || phase == Phase::reduce || phase == Phase::update;
}

FlightRecorder::FlightRecorder(std::function<double()> now)
    : now_(now ? std::move(now) : monotonic_seconds), epoch_(now_()) {}

void FlightRecorder::enter(Phase phase, std::uint64_t step) {
  const std::lock_guard lock(mutex_);
  const double now = seconds();
  const bool same_step = is_in_step(phase_) && is_in_step(phase) && step == step_;
  if (!same_step) {
    if (is_in_step(phase_)) {
      step_times_[num_steps_ % num_step_times] = now - stretch_began_;
      ++num_steps_;
    }
    stretch_began_ = now;
  }
  phases_[phases_entered_ % num_phases] = {phase, step, now};
  ++phases_entered_;
  phase_began_ = now;
  phase_ = phase;
  step_ = step;
}

void FlightRecorder::renew() {
  const std::lock_guard lock(mutex_);
  if (!is_in_step(phase_)) stretch_began_ = seconds();
}

void FlightRecorder::begin(std::string_view operation, int bucket, int peer, std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  ++sequence_;
  RecordedOperation& entry = slot(sequence_);
  entry = {.sequence = sequence_,
           .name = {},
           .bucket = bucket,
           .peer = peer,
           .bytes = bytes,
           .began = seconds(),
           .ended = -1};
  std::copy_n(operation.begin(), std::min(operation.size(), RankStatus::max_name),
              entry.name.begin());
  if (depth_ < max_depth) open_[depth_] = sequence_;
  ++depth_;
}

void FlightRecorder::end() {
  const std::lock_guard lock(mutex_);
  if (depth_ == 0) return;
  --depth_;
  if (depth_ >= max_depth) return;
  RecordedOperation& entry = slot(open_[depth_]);
  // An outer operation with hundreds of inner ones may have lost its place in the ring.
  if (entry.sequence == open_[depth_]) entry.ended = seconds();
}

RankStatus FlightRecorder::status_at(double now) const {
  RankStatus status{.phase = phase_,
                    .step = step_,
                    .phase_seconds = now - phase_began_,
                    .stretch_seconds = now - stretch_began_,
                    .num_steps = num_steps_,
                    .sequence = sequence_};
  if (depth_ == 0) return status;
  const std::uint64_t innermost = open_[std::min(depth_, max_depth) - 1];
  const RecordedOperation& entry = operations_[innermost % num_operations];
  if (entry.sequence != innermost) return status;
  status.operation = entry.name;
  status.bucket = entry.bucket;
  status.peer = entry.peer;
  status.operation_seconds = now - entry.began;
  return status;
}

RankStatus FlightRecorder::status() const {
  const std::lock_guard lock(mutex_);
  return status_at(seconds());
}

std::vector<double> FlightRecorder::step_seconds() const {
  const std::lock_guard lock(mutex_);
  std::vector<double> times;
  const std::uint64_t kept = std::min<std::uint64_t>(num_steps_, num_step_times);
  for (std::uint64_t i = num_steps_ - kept; i < num_steps_; ++i) {
    times.push_back(step_times_[i % num_step_times]);
  }
  return times;
}

FlightSnapshot FlightRecorder::snapshot() const {
  const std::lock_guard lock(mutex_);
  const double now = seconds();
  FlightSnapshot snapshot{.now = now, .status = status_at(now), .phases = {}, .operations = {}};
  const std::uint64_t phases = std::min<std::uint64_t>(phases_entered_, num_phases);
  for (std::uint64_t i = phases_entered_ - phases; i < phases_entered_; ++i) {
    snapshot.phases.push_back(phases_[i % num_phases]);
  }
  const std::uint64_t operations = std::min<std::uint64_t>(sequence_, num_operations);
  for (std::uint64_t i = sequence_ - operations + 1; i <= sequence_; ++i) {
    snapshot.operations.push_back(operations_[i % num_operations]);
  }
  return snapshot;
}

std::string describe(const RankStatus& status) {
  std::string text = fmt::format("step {}, {}", status.step, name_of(status.phase));
  if (status.operation_name().empty()) return text;
  return text + fmt::format(", in {} for {:.1f} s",
                            describe_operation(status.operation_name(), status.bucket, status.peer),
                            status.operation_seconds);
}

std::string format_dump(const FlightSnapshot& snapshot) {
  std::string text =
      fmt::format("now: {} ({:.3f} s in this phase, {:.3f} s without progress, {} steps done)\n",
                  describe(snapshot.status), snapshot.status.phase_seconds,
                  snapshot.status.stretch_seconds, snapshot.status.num_steps);
  text += fmt::format("times are seconds since the start; now is {:.3f}\n\nphases\n", snapshot.now);
  for (const RecordedPhase& phase : snapshot.phases) {
    text += fmt::format("{:>12.3f}  step {} {}\n", phase.began, phase.step, name_of(phase.phase));
  }
  text += fmt::format("\nthe last {} operations\n{:>12}  {:>10}  {:>10}  {:>14}  operation\n",
                      snapshot.operations.size(), "began", "took", "number", "bytes");
  for (const RecordedOperation& op : snapshot.operations) {
    const std::string took =
        op.ended < 0 ? "under way" : fmt::format("{:.6f}", op.ended - op.began);
    text += fmt::format("{:>12.3f}  {:>10}  {:>10}  {:>14}  {}\n", op.began, took, op.sequence,
                        op.bytes, describe_operation(op.name.data(), op.bucket, op.peer));
  }
  return text;
}

}  // namespace motley
