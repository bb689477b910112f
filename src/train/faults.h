// Faults on purpose, as a user names them: --inject RANK:STEP:FAULT. What they do is in inject.h.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace motley {

enum class FaultKind {
  kill,       // the process ends at once, as by a crash
  stop,       // the process stands still, as on a frozen host
  nan,        // a gradient of the step is not a number
  slow,       // from this step on every leaf takes `factor` times as long
  drop_link,  // messages, heartbeats among them, are neither sent nor received any more
  flip_bit    // one bit of one parameter changes after the step's update
};

struct Fault {
  int rank = 0;
  std::uint64_t step = 1;  // the first step is 1
  FaultKind kind = FaultKind::kill;
  double factor = 1;  // of slow
  friend bool operator==(const Fault&, const Fault&) = default;
};

/// Reads "1:7:kill,2:9:slow=3x"; nothing in an empty text. Throws ConfigError.
std::vector<Fault> parse_faults(std::string_view text);

/// Throws ConfigError when a fault names a rank that the job does not have.
void check_faults(const std::vector<Fault>& faults, int num_ranks);

}  // namespace motley
