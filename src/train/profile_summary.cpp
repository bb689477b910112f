#include "train/profile_summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace motley {
namespace {

/// "141.2 (61%)", or "-" where nothing was counted.
std::string format_rate(double work, double seconds, double peak) {
  if (work <= 0 || seconds <= 0) return "-";
  const double rate = work / seconds;
  return fmt::format("{:.1f} ({:.0f}%)", rate * 1e-9, 100 * rate / peak);
}

}  // namespace

ProfileSummary summarize(std::span<const TimedCommand> commands) {
  ProfileSummary summary;
  if (commands.empty()) return summary;
  std::map<std::string, KernelCost> by_name;
  double first = commands[0].began;
  double last = commands[0].ended;
  double computed_until = 0;  // a stream is in order, but a command may begin as the last one ends
  for (const TimedCommand& command : commands) {
    KernelCost& cost = by_name[command.name];
    cost.name = command.name;
    ++cost.calls;
    cost.seconds += command.ended - command.began;
    cost.work.flops += command.work.flops;
    cost.work.bytes += command.work.bytes;
    first = std::min(first, command.began);
    last = std::max(last, command.ended);
    if (command.stream != 0) continue;
    summary.busy += std::max(0.0, command.ended - std::max(command.began, computed_until));
    computed_until = std::max(computed_until, command.ended);
  }
  summary.seconds = last - first;
  for (auto& [name, cost] : by_name) summary.kernels.push_back(std::move(cost));
  std::stable_sort(summary.kernels.begin(), summary.kernels.end(),
                   [](const auto& a, const auto& b) { return a.seconds > b.seconds; });
  return summary;
}

std::vector<std::string> format_profile(const ProfileSummary& summary, const Peaks& peaks,
                                        std::uint64_t num_steps, std::size_t most) {
  const auto steps = static_cast<double>(num_steps);
  std::vector<std::string> lines;
  lines.push_back(fmt::format(
      "{} steps of {:.1f} ms, the device busy {:.1f}% of them; peaks: {:.0f} GFLOP/s{}, "
      "{:.1f} GB/s",
      num_steps, summary.seconds / steps * 1e3,
      100 * summary.busy / std::max(summary.seconds, 1e-9), peaks.flops * 1e-9,
      peaks.dtype == Dtype::bf16 ? " in bf16" : "", peaks.bytes * 1e-9));
  lines.push_back(fmt::format("{:<26} {:>8} {:>10} {:>6} {:>16} {:>16}", "kernel", "calls",
                              "ms a step", "part", "GFLOP/s", "GB/s"));
  double shown = 0;
  const std::size_t count = std::min(most, summary.kernels.size());
  for (std::size_t i = 0; i < count; ++i) {
    const KernelCost& cost = summary.kernels[i];
    shown += cost.seconds;
    lines.push_back(fmt::format("{:<26} {:>8.4g} {:>10.2f} {:>5.1f}% {:>16} {:>16}", cost.name,
                                static_cast<double>(cost.calls) / steps, cost.seconds / steps * 1e3,
                                100 * cost.seconds / std::max(summary.busy, 1e-9),
                                format_rate(cost.work.flops, cost.seconds, peaks.flops),
                                format_rate(cost.work.bytes, cost.seconds, peaks.bytes)));
  }
  double all = 0;
  for (const KernelCost& cost : summary.kernels) all += cost.seconds;
  if (count < summary.kernels.size())
    lines.push_back(fmt::format("{:<26} {:>8} {:>10.2f} {:>5.1f}%",
                                fmt::format("{} others", summary.kernels.size() - count), "",
                                (all - shown) / steps * 1e3,
                                100 * (all - shown) / std::max(summary.busy, 1e-9)));
  return lines;
}

}  // namespace motley
