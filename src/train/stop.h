// Requests to stop from outside: SIGINT, SIGTERM, SIGUSR1 and SIGUSR2 (mpirun forwards only the
// last one; batch systems send any of them before they take the machine away).
#pragma once

namespace motley {

/// Watches for the signals while it lives. The first only sets a flag, so that the run can save and
/// end in order. A second SIGINT or SIGTERM ends the process at once. A process has one of these,
/// which ranks that are threads share.
class StopRequests {
 public:
  StopRequests();
  ~StopRequests();
  StopRequests(const StopRequests&) = delete;
  StopRequests& operator=(const StopRequests&) = delete;

  /// The number of the signal that came first; 0 when none did.
  int signal() const;
};

}  // namespace motley
