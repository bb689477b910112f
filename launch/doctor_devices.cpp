#include "launch/doctor_devices.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernels/ops.h"
#include "tensor/clock.h"
#include "tensor/error.h"

namespace motley::launch {
namespace {

std::string gib(std::size_t bytes) {
  return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / (1 << 30));
}

std::string describe(const DeviceInfo& info) {
  const std::string features =
      info.features.empty() ? "" : fmt::format("; {}", fmt::join(info.features, " "));
  const std::string also = info.other_platforms.empty()
                               ? ""
                               : fmt::format(", also {}", fmt::join(info.other_platforms, ", "));
  return fmt::format("{} ({}, {}{}), {}, {} in one buffer{}", info.name, to_string(info.kind),
                     info.platform, also, gib(info.global_memory), gib(info.max_allocation),
                     features);
}

/// Builds a kernel and compares what it computes. Returns what is wrong; nothing when all is well.
std::string try_kernel(const DeviceInfo& info) {
  constexpr std::size_t count = 1003;  // no whole number of work-groups
  Device device(info);
  Stream& s = device.stream();
  Tensor y = device.tensor({count});
  Tensor x = device.tensor({count});
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i);
  s.write<float>(y, values);
  s.write<float>(x, std::vector<float>(count, 0.5f));
  op::add(s, y, x);
  s.read<float>(values, y);
  for (std::size_t i = 0; i < count; ++i) {
    if (values[i] != static_cast<float>(i) + 0.5f)
      return fmt::format("value {} of a sum came out as {}", i, values[i]);
  }
  return "";
}

Finding check_device(const DeviceInfo& info, const std::string& name) {
  const auto start = Clock::now();
  const std::string wrong = try_kernel(info);
  const double spent_s = seconds_since(start);
  if (!wrong.empty()) {
    return {Verdict::fail, name, fmt::format("{}: {}", describe(info), wrong),
            "update its driver, or leave the device out with --device"};
  }
  const std::string value =
      fmt::format("{}; a kernel was right after {:.2f} s, products of matrices at {:.1f} GFLOP/s",
                  describe(info), spent_s, measure_speed(info));
  if (const auto trouble = known_trouble(info))
    return {Verdict::warn, name, fmt::format("{}; {}", value, trouble->text), trouble->fix};
  return {Verdict::ok, name, value, ""};
}

}  // namespace

Findings check_devices(const std::vector<DeviceInfo>& devices, const Announce& announce) {
  Findings findings;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const std::string name = fmt::format("device index:{}", i);
    announce(name);
    for (Finding& finding :
         run_check(name, [&] { return Findings{check_device(devices[i], name)}; }))
      findings.push_back(std::move(finding));
  }
  return findings;
}

Findings check_kernel_cache() {
  const std::filesystem::path directory = default_cache_directory();
  if (directory.empty()) {
    return {{Verdict::warn, "kernel cache", "HOME and XDG_CACHE_HOME are not set",
             "set HOME, or kernels are built anew each time"}};
  }
  struct stat status {};
  if (::stat(directory.c_str(), &status) != 0) {
    return {{Verdict::ok, "kernel cache", fmt::format("{} will be made", directory.string()), ""}};
  }
  const std::string value =
      fmt::format("{} of user {}, mode {:o}", directory.string(), status.st_uid,
                  static_cast<unsigned>(status.st_mode & 0777));
  if (status.st_uid != ::geteuid() || (status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return {{Verdict::warn, "kernel cache", value,
             fmt::format("others could put programs there, so it is not used: chown and chmod 700 "
                         "{}",
                         directory.string())}};
  }
  return {{Verdict::ok, "kernel cache", value, ""}};
}

Findings check_placement(const PlacedDevice& placed, const DeviceChoiceSettings& settings) {
  const auto finding = [&](Verdict verdict, const std::string& text) {
    const std::size_t at = text.find("\n  fix: ");
    const std::string fix = at == std::string::npos ? "" : text.substr(at + 8);
    return Finding{verdict, "placement", text.substr(0, at), fix};
  };
  const std::string refused =
      settings.one_core ? "" : explain_one_core(placed.info, placed.placement);
  const std::string slow = explain_slow_placement(placed.info, placed.placement);
  Findings findings;
  if (!refused.empty()) {
    findings.push_back(finding(Verdict::fail, refused));
  } else if (!slow.empty()) {
    findings.push_back(finding(Verdict::warn, slow));
  } else {
    findings.push_back(finding(
        Verdict::ok, fmt::format("{} on {}", placed.info.name, placed.placement.summary())));
  }
  for (const std::string& warning : placed.placement.warnings)
    findings.push_back(finding(Verdict::warn, warning));
  const auto free = free_memory(placed.info);
  const std::string memory =
      free ? fmt::format("{} of {} free", gib(*free), gib(placed.info.global_memory))
           : fmt::format("{}; the driver does not say how much is free",
                         gib(placed.info.global_memory));
  const bool is_full = free && *free < placed.info.global_memory / 4;
  findings.push_back(
      {is_full ? Verdict::warn : Verdict::ok, "device memory", memory,
       is_full ? "another program holds most of it: end it, or choose another device" : ""});
  return findings;
}

}  // namespace motley::launch
