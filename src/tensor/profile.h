// What a device's streams ran and when, by OpenCL's own clock (CL_QUEUE_PROFILING_ENABLE), for the
// time between start() and take(). Who reads it: train/step_profile.h.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "tensor/opencl.h"

namespace motley {

class Stream;

/// What a command has to do at least, as far as its caller knows.
struct Work {
  double flops = 0;
  double bytes = 0;  // read and written, each buffer once
};

/// A command that has run. Times are monotonic_seconds().
struct TimedCommand {
  std::string name;        // a kernel's; or "read", "write", "copy", "fill"
  std::size_t stream = 0;  // 0 is the device's compute stream
  double began = 0;
  double ended = 0;
  Work work;
};

/// A device's clock against monotonic_seconds(), in seconds.
struct DeviceClock {
  double offset = 0;  // to add to the device's times
  double error = 0;   // the offset is at most this far off
};

/// Off until it is started. Every member may be called on any thread.
class CommandProfile {
 public:
  /// Waits until `s` is idle and takes the device's clock for all that comes. Throws DeviceError.
  void start(Stream& s);
  bool is_on() const;
  /// As start() took it last.
  DeviceClock clock() const;
  /// Notes a command that was enqueued; nothing when off.
  void add(std::string name, std::size_t stream, Work work, const cl::Event& event);
  /// Notes what ran between two events of one stream.
  void add(std::string name, std::size_t stream, Work work, const cl::Event& before,
           const cl::Event& after);
  /// Waits for all that was noted, in the order in which it was enqueued, and turns it off. Throws
  /// DeviceError when a command failed or the device tells no times.
  std::vector<TimedCommand> take();
  /// A number for each stream, in the order in which they ask.
  std::size_t number_stream();

 private:
  struct Entry {
    std::string name;
    std::size_t stream;
    Work work;
    cl::Event before;  // null: `event` has the beginning as well
    cl::Event event;
  };
  void add(Entry entry);

  mutable std::mutex mutex_;
  bool on_ = false;
  DeviceClock clock_;
  std::size_t num_streams_ = 0;
  std::vector<Entry> entries_;
};

}  // namespace motley
