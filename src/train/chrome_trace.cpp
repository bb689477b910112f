#include "train/chrome_trace.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

namespace motley {
namespace {

using Json = nlohmann::ordered_json;

constexpr int phases_row = 0;
constexpr int messages_row = 1;
constexpr int first_stream_row = 2;

class Events {
 public:
  explicit Events(const Trace& trace) : trace_(trace) {}

  void name_process(const std::string& name) { name_row("process_name", 0, name); }
  void name_row(int row, const std::string& name) { name_row("thread_name", row, name); }
  void add(const std::string& name, const char* category, int row, double began, double ended,
           Json arguments = {}) {
    Json event{{"name", name},
               {"cat", category},
               {"ph", "X"},
               {"ts", (began - trace_.began) * 1e6},
               {"dur", (ended - began) * 1e6},
               {"pid", trace_.rank},
               {"tid", row}};
    if (!arguments.is_null()) event["args"] = std::move(arguments);
    events_.push_back(std::move(event));
  }
  std::string document() const {
    return Json{{"traceEvents", events_}, {"displayTimeUnit", "ms"}}.dump() + "\n";
  }

 private:
  void name_row(const char* what, int row, const std::string& name) {
    events_.push_back({{"name", what},
                       {"ph", "M"},
                       {"pid", trace_.rank},
                       {"tid", row},
                       {"args", {{"name", name}}}});
  }

  const Trace& trace_;
  Json events_ = Json::array();
};

/// What the viewer shows of a command that is clicked on.
Json describe(const TimedCommand& command) {
  const double seconds = command.ended - command.began;
  Json arguments{{"bytes", command.work.bytes}};
  if (seconds > 0) arguments["GB/s"] = command.work.bytes / seconds * 1e-9;
  if (command.work.flops > 0) {
    arguments["flops"] = command.work.flops;
    if (seconds > 0) arguments["GFLOP/s"] = command.work.flops / seconds * 1e-9;
  }
  return arguments;
}

}  // namespace

std::string format_chrome_trace(const Trace& trace) {
  Events events(trace);
  events.name_process(trace.process);
  events.name_row(phases_row, "phases");
  events.name_row(messages_row, "communication");
  std::set<std::size_t> streams;
  for (const TimedCommand& command : trace.commands) streams.insert(command.stream);
  for (const std::size_t stream : streams) {
    events.name_row(first_stream_row + static_cast<int>(stream),
                    stream == 0 ? "device: compute" : fmt::format("device: copies {}", stream));
  }
  for (const TraceSpan& phase : trace.phases)
    events.add(phase.name, "phase", phases_row, phase.began, phase.ended);
  for (const TraceSpan& message : trace.messages)
    events.add(message.name, "communication", messages_row, message.began, message.ended);
  for (const TimedCommand& command : trace.commands) {
    events.add(command.name, "device", first_stream_row + static_cast<int>(command.stream),
               command.began, command.ended, describe(command));
  }
  return events.document();
}

}  // namespace motley
