#include "train/step_profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "tensor/clock.h"
#include "tensor/error.h"

namespace motley {
namespace {

[[noreturn]] void refuse(std::string_view text) {
  throw ConfigError("config.profile",
                    fmt::format("device.profile = '{}' names no steps; write steps=10-12 for the "
                                "steps from 10 to 12, or steps=10 for one",
                                text));
}

/// Takes a number above 0 from the front of `rest`.
std::uint64_t take_number(std::string_view& rest, std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
  if (error != std::errc() || number == 0) refuse(text);
  rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
  return number;
}

}  // namespace

std::optional<StepRange> parse_profile_steps(std::string_view text) {
  if (text.empty()) return std::nullopt;
  std::string_view rest = text;
  if (rest.starts_with("steps=")) rest.remove_prefix(6);
  StepRange range;
  range.first = range.last = take_number(rest, text);
  if (rest.starts_with('-')) {
    rest.remove_prefix(1);
    range.last = take_number(rest, text);
  }
  if (!rest.empty() || range.last < range.first) refuse(text);
  return range;
}

StepProfile::StepProfile(Device& device, Communicator& comm, StepRange steps, io::Path directory)
    : device_(device), comm_(comm), steps_(steps), directory_(std::move(directory)) {}

void StepProfile::before_step(std::uint64_t step) {
  if (step != steps_.first) return;
  trace_.process =
      fmt::format("rank {} on {}, {}", comm_.rank(), comm_.host(), device_.info().name);
  trace_.rank = comm_.rank();
  device_.profile()->start(device_.stream());
  trace_.began = monotonic_seconds();
  phases_taken_until_ = trace_.began;
  messages_taken_ = comm_.recorder().status().sequence;
}

std::vector<std::string> StepProfile::after_step(std::uint64_t step) {
  if (step < steps_.first || step > steps_.last || !device_.profile()->is_on()) return {};
  take_phases_and_messages();
  if (step != steps_.last) return {};
  device_.stream().finish();
  trace_.commands = device_.profile()->take();
  io::create_directories(directory_);
  const io::Path path = directory_ / fmt::format("rank{}.json", comm_.rank());
  io::write_text_atomically(path, format_chrome_trace(trace_));
  std::vector<std::string> lines =
      format_profile(summarize(trace_.commands), measure_peaks(device_), steps_.size());
  lines.push_back(path.string());
  trace_ = {};
  return lines;
}

/// What the flight recorder has seen since the last time; it forgets what is long ago.
void StepProfile::take_phases_and_messages() {
  const FlightSnapshot seen = comm_.recorder().snapshot();
  const double now = monotonic_seconds();
  const double epoch = now - seen.now;
  for (std::size_t i = 0; i < seen.phases.size(); ++i) {
    const RecordedPhase& phase = seen.phases[i];
    const double began = std::max(epoch + phase.began, phases_taken_until_);
    const double ended = i + 1 < seen.phases.size() ? epoch + seen.phases[i + 1].began : now;
    if (ended <= began) continue;
    trace_.phases.push_back({fmt::format("{} {}", name_of(phase.phase), phase.step), began, ended});
  }
  phases_taken_until_ = now;
  for (const RecordedOperation& operation : seen.operations) {
    if (operation.sequence <= messages_taken_ || operation.ended < 0) continue;
    std::string name = operation.name.data();
    if (operation.bucket >= 0) name += fmt::format(" bucket {}", operation.bucket);
    if (operation.peer >= 0) name += fmt::format(" with rank {}", operation.peer);
    trace_.messages.push_back({name, epoch + operation.began, epoch + operation.ended});
    messages_taken_ = std::max(messages_taken_, operation.sequence);
  }
}

}  // namespace motley
