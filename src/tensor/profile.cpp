#include "tensor/profile.h"

#include <utility>

#include "tensor/clock.h"
#include "tensor/stream.h"

namespace motley {
namespace {

/// A time of an event that is done, in seconds of the device's clock.
double time_of(const cl::Event& event, cl_profiling_info what) {
  cl_ulong nanoseconds = 0;
  check_cl(event.getProfilingInfo(what, &nanoseconds), "clGetEventProfilingInfo");
  return static_cast<double>(nanoseconds) * 1e-9;
}

// One reading is off by up to half of what it took, which is long when a thread had to wait for a
// processor. The best of some is taken, or the first that is good.
constexpr double good_clock_error_s = 20e-6;
constexpr int max_clock_readings = 32;

/// Compares the clock of an idle stream's device with monotonic_seconds().
DeviceClock read_clock(Stream& s) {
  const double before = monotonic_seconds();
  const cl::Event marker = s.enqueue_marker();
  check_cl(marker.wait(), "clWaitForEvents");
  const double after = monotonic_seconds();
  return {.offset = (before + after) / 2 - time_of(marker, CL_PROFILING_COMMAND_END),
          .error = (after - before) / 2};
}

}  // namespace

void CommandProfile::start(Stream& s) {
  s.finish();
  DeviceClock best = read_clock(s);
  for (int i = 1; i < max_clock_readings && best.error > good_clock_error_s; ++i) {
    const DeviceClock reading = read_clock(s);
    if (reading.error < best.error) best = reading;
  }
  const std::lock_guard lock(mutex_);
  clock_ = best;
  on_ = true;
}

DeviceClock CommandProfile::clock() const {
  const std::lock_guard lock(mutex_);
  return clock_;
}

bool CommandProfile::is_on() const {
  const std::lock_guard lock(mutex_);
  return on_;
}

void CommandProfile::add(std::string name, std::size_t stream, Work work, const cl::Event& event) {
  add({std::move(name), stream, work, {}, event});
}

void CommandProfile::add(std::string name, std::size_t stream, Work work, const cl::Event& before,
                         const cl::Event& after) {
  add({std::move(name), stream, work, before, after});
}

void CommandProfile::add(Entry entry) {
  const std::lock_guard lock(mutex_);
  if (on_) entries_.push_back(std::move(entry));
}

std::vector<TimedCommand> CommandProfile::take() {
  std::vector<Entry> entries;
  double offset = 0;
  {
    const std::lock_guard lock(mutex_);
    on_ = false;
    entries = std::exchange(entries_, {});
    offset = clock_.offset;
  }
  std::vector<TimedCommand> commands;
  commands.reserve(entries.size());
  for (Entry& entry : entries) {
    check_cl(entry.event.wait(), "clWaitForEvents");
    const double began = entry.before() == nullptr
                             ? time_of(entry.event, CL_PROFILING_COMMAND_START)
                             : time_of(entry.before, CL_PROFILING_COMMAND_END);
    commands.push_back({.name = std::move(entry.name),
                        .stream = entry.stream,
                        .began = began + offset,
                        .ended = time_of(entry.event, CL_PROFILING_COMMAND_END) + offset,
                        .work = entry.work});
  }
  return commands;
}

std::size_t CommandProfile::number_stream() {
  const std::lock_guard lock(mutex_);
  return num_streams_++;
}

}  // namespace motley
