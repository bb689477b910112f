// What `motley doctor` says: findings of all ranks, gathered, as text and as JSON.
#pragma once

#include <string>
#include <vector>

#include "dist/communicator.h"
#include "dist/doctor.h"

namespace motley::launch {

/// Collective. Every rank's findings of a check with their places, equal ones put together;
/// complete on every rank. place: of this rank's findings, its host or its name.
std::vector<PlacedFinding> gather_findings(Communicator& comm, const Findings& mine,
                                           const std::string& place);

/// The findings of one check, one line for each: "warn  disk  0.4 GiB free ... -> free some
/// [node1]". The place is left out where all hosts or ranks agree.
std::string format_report(const std::vector<PlacedFinding>& findings, int num_ranks);

/// {"verdict": "ok", "ranks": 2, "checks": [{"verdict", "name", "value", "fix", "places"}, ...]}
std::string report_as_json(const std::vector<PlacedFinding>& findings, int num_ranks);

/// The worst of all findings.
Verdict verdict_of(const std::vector<PlacedFinding>& findings);

}  // namespace motley::launch
