// Questions to ask a new GPU and its driver before anything else: what bench/probe asks, one line
// of JSON for each.
#pragma once

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>

#include "tensor/clock.h"
#include "tensor/device.h"

namespace motley::bench {

/// One question. Some can hang or crash a driver, so the program asks one a process if told to.
struct Probe {
  std::string_view name;      // "wgmma_source"
  std::string_view question;  // for people
  /// The answer's members. What a driver refuses is an answer, too; throws only where the question
  /// could not be put.
  nlohmann::ordered_json (*ask)(Device& device);
};

/// The shortest of several runs, after one that builds kernels.
template <class Run>
double best_seconds(Run run) {
  constexpr int num_repeats = 5;
  run();
  double best = 1e30;
  for (int i = 0; i < num_repeats; ++i) {
    const auto start = Clock::now();
    run();
    best = std::min(best, seconds_since(start));
  }
  return best;
}

/// What the driver's compiler takes: PTX, sub-architectures, half.
std::span<const Probe> compiler_probes();
/// How fast memory, queues and waiting are, and how large a buffer may be.
std::span<const Probe> memory_probes();
/// What the device is, and its products of matrices.
std::span<const Probe> speed_probes();

}  // namespace motley::bench
