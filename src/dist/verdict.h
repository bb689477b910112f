// Who holds up a job: a decision from what rank 0 knows of every rank. Pure, without threads,
// clocks or messages; see watchdog.h for those.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dist/flight_recorder.h"

namespace motley {

/// How long a stretch (a step, or another phase since its last sign of progress) may last, in
/// seconds.
struct StallLimits {
  double device = 300;      // drivers are loaded; at most some seconds where they work
  double setup = 1800;      // data may be verified, weights read
  double first_step = 600;  // kernels are compiled; also until enough steps are known
  double step = 600;
  double evaluate = 600;
  double sample = 600;
  double save = 1800;  // a checkpoint may go to a slow disk
  double finish = 600;

  double of(const RankStatus& status) const;
  /// Beyond this a rank that has sent nothing counts as not heard of: a quarter of a step, 3 to 15.
  double silence() const;
};

/// The limit of a step: `timeout` if that is not 0, else max(60 s, 5 x the 99th percentile of
/// step_seconds) once there are 5 of them, and `first_step` before.
double step_limit(std::span<const double> step_seconds, double timeout, double first_step);

/// What is known of one rank.
struct RankView {
  int rank = 0;
  std::string name;        // "rank 2 on n3 (pocl-cpu ...)"
  RankStatus status = {};  // as it was `age` seconds ago
  double age = 0;
};

/// Why the job is given up.
struct StallVerdict {
  std::vector<int> ranks;  // who is to blame, ascending; empty: nobody stands out
  std::uint64_t step = 0;  // the step that could not be completed
  std::string text;        // one line
};

/// Rank 0's decision; views in rank order, its own first. `link_age`: since when its own
/// communication thread has not run. Nothing while any rank that is heard of is within its limit,
/// because the others may be waiting for it. Otherwise to blame are, in this order: rank 0 itself
/// when its communication thread stands or nobody can be heard of; those not heard of; those
/// furthest behind in step, phase and bucket; two that wait for each other.
[[nodiscard]] std::optional<StallVerdict> judge(std::span<const RankView> views,
                                                const StallLimits& limits, double link_age);

/// Another rank's decision, for when rank 0 cannot decide: its own `mine`, rank 0 as it was heard
/// of last. Nothing until `grace` seconds after its limit, and nothing while rank 0 can be heard
/// of, which alone knows whether somebody still makes progress.
[[nodiscard]] std::optional<StallVerdict> judge_alone(const RankView& mine, const RankView& rank0,
                                                      const StallLimits& limits, double link_age,
                                                      double grace);

}  // namespace motley
