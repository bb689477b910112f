// What `motley doctor` says: findings of all ranks, gathered and printed by rank 0.
#pragma once

#include <string>
#include <vector>

#include "dist/communicator.h"
#include "dist/doctor.h"

namespace motley::launch {

/// What one rank found, and where.
struct Report {
  Findings of_host;  // by the first rank of each host
  Findings of_rank;
  Findings of_job;  // collective checks: the same on every rank
};

/// Collective. Every rank's findings, equal ones put together; complete on every rank.
std::vector<PlacedFinding> gather_report(Communicator& comm, const Report& mine);

/// One line for each: "warn  disk  0.4 GiB free ... -> free some  [node1]". The place is left out
/// where all hosts or ranks agree.
std::string format_report(const std::vector<PlacedFinding>& findings, int num_ranks);

/// {"verdict": "ok", "ranks": 2, "checks": [{"verdict", "name", "value", "fix", "places"}, ...]}
std::string report_as_json(const std::vector<PlacedFinding>& findings, int num_ranks);

/// The worst of all findings.
Verdict verdict_of(const std::vector<PlacedFinding>& findings);

}  // namespace motley::launch
