// Times several ways to do one thing in turn, so that what disturbs the machine disturbs all of
// them alike.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "dist/communicator.h"

namespace motley::bench {

/// One way to do it.
struct Contender {
  std::string name;
  /// Does it this many times, on all ranks; called by the main thread.
  std::function<void(std::size_t times)> work;
  /// The seconds one of them took on this rank, when not all that `work` did counts.
  std::function<double()> seconds = nullptr;
};

/// The middle one of what was measured; 0 of nothing.
double median(std::vector<double> values);

/// Seconds that the slowest rank took, round by round. The same on all ranks.
struct Timing {
  std::string name;
  std::vector<double> seconds;

  double median() const { return bench::median(seconds); }
  nlohmann::ordered_json to_json() const;
};

/// How many times as long as `a` `b` took in each round, sorted: what disturbs both alike cancels.
std::vector<double> ratios(const Timing& a, const Timing& b);

/// Collective. Every contender once to warm up, then `repeats` rounds of all contenders, each of
/// which does its work `times` times in a row. The order changes from round to round.
std::vector<Timing> time_paired(Communicator& comm, const std::vector<Contender>& contenders,
                                std::size_t repeats, std::size_t times);

}  // namespace motley::bench
