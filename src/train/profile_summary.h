// A profile's commands added up by kernel, and the table of the costliest.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/peak.h"
#include "tensor/profile.h"

namespace motley {

/// All commands of one name.
struct KernelCost {
  std::string name;
  std::uint64_t calls = 0;
  double seconds = 0;
  Work work;
};

struct ProfileSummary {
  std::vector<KernelCost> kernels;  // costliest first
  double seconds = 0;               // from the first command's begin to the last one's end
  double busy = 0;  // of that, seconds in which the compute stream had a command under way
};

ProfileSummary summarize(std::span<const TimedCommand> commands);

/// The table's lines: for each of the `most` costliest kernels its calls and milliseconds in a
/// step, its part of the busy time, GFLOP/s and GB/s with their parts of the peaks. A column is '-'
/// for a kernel whose operations are not counted.
std::vector<std::string> format_profile(const ProfileSummary& summary, const Peaks& peaks,
                                        std::uint64_t num_steps, std::size_t most = 10);

}  // namespace motley
