// What a rank is doing and has just done, kept in memory for the moment when the job stands still:
// the phase its main thread is in, and the last operations of its communication thread. Who reads
// it: heartbeats and the watchdog. Writes no files and takes no decisions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace motley {

/// What a rank's main thread is doing. Ascending in the order in which a step passes them.
enum class Phase : std::uint8_t {
  device,  // drivers are loaded and the device is opened
  setup,
  compute,
  reduce,
  update,
  evaluate,
  sample,
  save,
  finish
};

std::string_view name_of(Phase phase);
/// Whether the phase is a part of a step: compute, reduce and update of one step share one limit.
bool is_in_step(Phase phase);

/// What a rank is doing now. Fixed size, so that it fits into a heartbeat.
struct RankStatus {
  static constexpr std::size_t max_name = 23;

  Phase phase = Phase::setup;
  std::uint64_t step = 0;
  double phase_seconds = 0;  // since the phase was entered
  /// Since the last sign of progress: the start of the step, or of another phase, or renew().
  double stretch_seconds = 0;
  std::uint64_t num_steps = 0;                    // completed steps of this process
  std::uint64_t sequence = 0;                     // operations begun so far
  std::array<char, max_name + 1> operation = {};  // the innermost one under way; empty when idle
  int bucket = -1;                                // of that operation; -1 when it has none
  int peer = -1;                                  // whom it waits for; -1 when that is no one rank
  double operation_seconds = 0;

  std::string_view operation_name() const { return operation.data(); }
};

/// One operation of the communication thread. Times are seconds since the recorder was made.
struct RecordedOperation {
  std::uint64_t sequence = 0;  // 1 is the first operation of the process
  std::array<char, RankStatus::max_name + 1> name = {};
  int bucket = -1;
  int peer = -1;
  std::uint64_t bytes = 0;
  double began = 0;
  double ended = -1;  // negative while it is under way
};

/// A phase that was entered, in seconds since the recorder was made.
struct RecordedPhase {
  Phase phase = Phase::setup;
  std::uint64_t step = 0;
  double began = 0;
};

/// All that a recorder holds, oldest first.
struct FlightSnapshot {
  double now = 0;
  RankStatus status;
  std::vector<RecordedPhase> phases;
  std::vector<RecordedOperation> operations;
};

/// Any thread may call any member; each holds a mutex for some tens of nanoseconds. enter() is the
/// main thread's, begin() and end() are the communication thread's.
class FlightRecorder {
 public:
  static constexpr std::size_t num_operations = 512;
  static constexpr std::size_t num_phases = 64;
  static constexpr std::size_t num_step_times = 100;
  static constexpr std::size_t max_depth = 8;

  /// `now` gives seconds that never go back; a monotonic clock unless a test brings its own.
  explicit FlightRecorder(std::function<double()> now = {});

  /// The main thread begins a phase. compute, reduce and update of one step make one stretch of
  /// time; entering any other phase begins a new one.
  void enter(Phase phase, std::uint64_t step);
  /// The main thread has done a piece of a long phase, which begins a new stretch; within a step
  /// nothing happens.
  void renew();

  /// The communication thread begins an operation, possibly inside another. `operation` is cut to
  /// RankStatus::max_name characters; bucket and peer are -1 where there is none. Allocates
  /// nothing.
  void begin(std::string_view operation, int bucket = -1, int peer = -1, std::uint64_t bytes = 0);
  /// Ends the innermost operation under way; nothing when there is none.
  void end();

  RankStatus status() const;
  /// Durations of the last completed steps (compute, reduce and update together), oldest first.
  std::vector<double> step_seconds() const;
  FlightSnapshot snapshot() const;

 private:
  RecordedOperation& slot(std::uint64_t sequence) { return operations_[sequence % num_operations]; }
  RankStatus status_at(double now) const;  // the mutex is held
  double seconds() const { return now_() - epoch_; }

  std::function<double()> now_;
  double epoch_;

  mutable std::mutex mutex_;
  Phase phase_ = Phase::setup;
  std::uint64_t step_ = 0;
  double phase_began_ = 0;
  double stretch_began_ = 0;
  std::uint64_t phases_entered_ = 0;
  std::array<RecordedPhase, num_phases> phases_ = {};
  std::uint64_t num_steps_ = 0;
  std::array<double, num_step_times> step_times_ = {};
  std::uint64_t sequence_ = 0;
  std::array<RecordedOperation, num_operations> operations_ = {};
  std::size_t depth_ = 0;                           // operations under way, also beyond max_depth
  std::array<std::uint64_t, max_depth> open_ = {};  // their sequence numbers, outermost first
};

/// "step 7, reduce, in 'reduce-scatter bucket 3' with rank 1 for 12.0 s"
std::string describe(const RankStatus& status);

/// A snapshot as text for people: status, phases, operations with their times.
std::string format_dump(const FlightSnapshot& snapshot);

}  // namespace motley
