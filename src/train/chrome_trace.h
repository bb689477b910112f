// A rank's profile in the Trace Event Format, which chrome://tracing and Perfetto show:
// https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
#pragma once

#include <span>
#include <string>
#include <vector>

#include "dist/flight_recorder.h"
#include "tensor/profile.h"

namespace motley {

/// Something that took a while. Times are monotonic_seconds().
struct TraceSpan {
  std::string name;
  double began = 0;
  double ended = 0;
};

/// The rows of one rank's trace.
struct Trace {
  std::string process;  // "rank 0 on vm, AMD EPYC"
  int rank = 0;
  double began = 0;                    // where the trace's time is 0
  std::vector<TimedCommand> commands;  // a row for each stream
  std::vector<TraceSpan> phases;       // of the main thread
  std::vector<TraceSpan> messages;     // of the communication thread
};

/// The document, times in microseconds. Rows: phases, communication, one for each stream.
std::string format_chrome_trace(const Trace& trace);

}  // namespace motley
