// A run of `motley doctor`: makes checks, says what they found as they come, and says which check
// is under way when it takes long.
#pragma once

#include <string>
#include <vector>

#include "dist/communicator.h"
#include "dist/doctor.h"
#include "launch/doctor_report.h"
#include "launch/slow_notice.h"

namespace motley::launch {

/// Every member is collective. Each check begins a new stretch of the rank's flight recorder, so
/// that a watchdog gives it a time limit of its own.
class DoctorSession {
 public:
  enum class Output { lines, json };

  DoctorSession(Communicator& comm, Output output);

  /// A check of a host, made by its first rank. It must not call collectives.
  void on_hosts(const std::string& name, const std::function<Findings()>& check);
  /// A check that each rank makes. It may call collectives that fail on every rank or on none.
  void on_ranks(const std::string& name, const std::function<Findings()>& check);
  /// A check that the ranks make together, with the same findings on each.
  void together(const std::string& name, const std::function<Findings()>& check);
  /// To be told of the parts of a check on_hosts. Not collective.
  Announce announce();

  /// Prints the JSON document where that is wanted. Returns the worst of all findings.
  Verdict finish();

 private:
  void begin(const std::string& name);
  void add(std::vector<PlacedFinding> findings);

  Communicator& comm_;
  Output output_;
  std::vector<PlacedFinding> findings_;
  SlowNotice notice_;
};

}  // namespace motley::launch
