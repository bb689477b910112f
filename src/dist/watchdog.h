// Ends a job that stands still, and says whose fault it is: a thread on every rank that looks at
// the rank's flight recorder and at the heartbeats. Who is to blame is decided in verdict.h.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "dist/communicator.h"
#include "dist/heartbeat.h"
#include "dist/verdict.h"
#include "tensor/io.h"

namespace motley {

struct WatchdogSettings {
  io::Path log_directory = {};  // dumps go to stall-STEP/rankN.txt in it; empty: there are none
  std::string device = {};      // of this rank, for the verdict; see name_device()
  double step_timeout = 0;      // seconds; 0: see step_limit()
  StallLimits limits = {};      // `step` is replaced
  double grace = 5;             // how long after the limit another rank than 0 decides alone
  /// Ends all ranks; tests put in something else. The default does not return.
  std::function<void()> end_job = {};
};

/// While an object of this lives, a rank that makes no progress for longer than its limit ends the
/// job with ExitCode::peer. Rank 0 prints one line, "error[comm.stalled] rank 2 on n3 (...) has not
/// been heard of for 12 s; ...", asks all ranks to write their flight recorders to their log
/// directories, and aborts the job. The other ranks do so themselves, a little later, when rank 0
/// does not. With ranks that are not processes under MPI each looks at itself alone.
class Watchdog {
 public:
  /// Collective.
  Watchdog(Communicator& comm, WatchdogSettings settings);
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  /// Not collective; waits for no other rank.
  ~Watchdog();

  /// Collective. Names this rank's device in verdicts from now on: it may be opened under the eyes
  /// of a watchdog that does not know it yet.
  void name_device(const std::string& device);

 private:
  void run();
  bool wait_for_stop(double seconds);
  /// Looks once; whether the job has been given up.
  bool look(double now);
  std::optional<StallVerdict> decide(double now);
  RankView own_view(double now) const;
  RankView view_of(int rank) const;
  std::vector<std::string> gather_names(const std::string& device) const;
  std::string name_of_rank(int rank) const;
  void give_up(const StallVerdict& verdict);
  void obey(std::uint64_t step);
  void wait_for_dumps();
  io::Path dump_directory(std::uint64_t step) const;
  void write_dump(std::uint64_t step, const std::string& reason) const;

  Communicator& comm_;
  WatchdogSettings settings_;
  StallLimits limits_;
  std::shared_ptr<Heartbeats> heartbeats_;  // shared with the communication thread's hook
  double looked_at_;
  double forgiven_at_;  // time before this counts for nothing
  mutable std::mutex mutex_;
  std::vector<std::string> names_;  // "rank 2 on n3 (pocl-cpu ...)", by rank
  std::condition_variable changed_;
  bool stops_ = false;
  std::thread thread_;  // last: it uses what stands above
};

}  // namespace motley
