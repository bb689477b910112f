// --profile steps=10-12: watches a rank during some steps and writes what it saw to
// profile/rankN.json of the run.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "dist/communicator.h"
#include "tensor/device.h"
#include "tensor/io.h"
#include "train/chrome_trace.h"
#include "train/profile_summary.h"

namespace motley {

/// Steps from `first` to `last`, both included, counted from 1.
struct StepRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;

  std::uint64_t size() const { return last - first + 1; }
};

/// Reads "steps=10-12", "10-12" or "10"; empty is none. Throws ConfigError "config.profile".
std::optional<StepRange> parse_profile_steps(std::string_view text);

/// One rank's; nothing here waits for other ranks.
class StepProfile {
 public:
  /// The device's settings asked for a profile. Does nothing on any step outside `steps`.
  StepProfile(Device& device, Communicator& comm, StepRange steps, io::Path directory);

  /// `step` is about to begin, with the device's memory and kernels as the step before left them.
  void before_step(std::uint64_t step);
  /// `step` is done. After the last one this waits for the device, measures its peaks, writes the
  /// file and returns the table's lines; none after the others. Throws DeviceError and IoError.
  std::vector<std::string> after_step(std::uint64_t step);

 private:
  void take_phases_and_messages();

  Device& device_;
  Communicator& comm_;
  StepRange steps_;
  io::Path directory_;
  Trace trace_;
  std::uint64_t messages_taken_ = 0;  // the last one's number
  double phases_taken_until_ = 0;
};

}  // namespace motley
