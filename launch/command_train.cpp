// motley train: trains a model, alone or as one of many ranks under mpirun.
#include <fmt/format.h>

#include <functional>
#include <memory>

#include "dist/agree.h"
#include "dist/job.h"
#include "dist/same_build.h"
#include "dist/thread_comm.h"
#include "dist/watchdog.h"
#include "launch/command.h"
#include "launch/open_device.h"
#include "launch/report.h"
#include "tensor/error.h"
#include "tensor/log.h"
#include "train/run_directory.h"
#include "train/settings.h"
#include "train/settings_table.h"
#include "train/stop.h"
#include "train/trainer.h"

namespace motley::launch {
namespace {

/// From here on a job that stands still is ended, also by a driver; null when the settings do
/// without that.
std::unique_ptr<Watchdog> start_watchdog(Communicator& comm, const Settings& settings) {
  comm.recorder().enter(Phase::device, 0);
  if (!settings.dist.watchdog) return nullptr;
  return std::make_unique<Watchdog>(
      comm, WatchdogSettings{.log_directory = RunDirectory(settings.train.run).logs(),
                             .device = "device " + settings.device.use,
                             .step_timeout = settings.dist.step_timeout,
                             .limits = {.device = settings.dist.device_timeout}});
}

using OpenDevice = std::function<std::unique_ptr<Device>()>;

int train(Communicator& comm, const Settings& settings, const StopRequests& stop,
          const OpenDevice& open) {
  const std::unique_ptr<Watchdog> watchdog = start_watchdog(comm, settings);
  const std::unique_ptr<Device> device = open();
  if (watchdog) watchdog->name_device(device->info().name);
  comm.recorder().enter(Phase::setup, 0);
  Trainer trainer(*device, comm, settings, stop, MOTLEY_VERSION);
  return static_cast<int>(trainer.run());
}

void check_simulation(const Settings& settings, const Communicator& comm) {
  require<ConfigError>(settings.dist.simulate_ranks == 0 || comm.size() == 1,
                       "config.simulate-ranks",
                       "dist.simulate_ranks = {} on one of {} ranks\n  simulated ranks are threads "
                       "of one process; leave mpirun or the setting out",
                       settings.dist.simulate_ranks, comm.size());
}

/// Ranks as threads of this process, which share its cores and its OpenCL device; each opens that
/// for itself.
int train_simulated(Communicator& comm, const Settings& settings, const StopRequests& stop) {
  const PlacedDevice placed = [&] {
    const std::unique_ptr<Watchdog> watchdog = start_watchdog(comm, settings);
    return place_device(comm, settings.device);
  }();
  check_placed(placed, settings.device);
  int exit_code = 0;
  run_ranks(static_cast<int>(settings.dist.simulate_ranks), [&](Communicator& simulated) {
    log::set_thread_rank(simulated.rank(), simulated.size());
    try {
      const int code = train(simulated, settings, stop, [&] {
        return agree(simulated, "opening a device",
                     [&] { return open_placed(placed, settings.device); });
      });
      if (simulated.rank() == 0) exit_code = code;
    } catch (const std::exception& error) {
      if (is_agreed(error)) throw;
      const Failure failure = current_failure();
      throw Error(failure.exit_code, failure.code,
                  fmt::format("{}: {}", simulated.name(), failure.message));
    }
  });
  return exit_code;
}

}  // namespace

int command_train(Arguments arguments) {
  if (asks_for_help(arguments)) {
    fmt::print(
        "Usage: motley train [CONFIG.toml] [--section.key value ...]\n"
        "       mpirun -n RANKS --bind-to none motley train ...\n"
        "       motley train --simulate-ranks RANKS ...\n\n"
        "Trains a model and writes a run directory: config.toml, metrics.jsonl, log/ and ckpt/.\n"
        "Settings: defaults < preset < CONFIG.toml < flags; `motley config show` prints them "
        "all.\n"
        "--inject RANK:STEP:FAULT makes a rank fail on purpose, to see what happens then.\n\n{}",
        describe_settings());
    return 0;
  }
  // Before anything that takes time: whoever starts a job may have to stop it at once.
  const StopRequests stop;
  return run_job(
      [&](Communicator& comm) {
        log::set_rank(comm.rank(), comm.size());
        same_build_on_all(comm, MOTLEY_VERSION);
        const ResolvedSettings settings = agree(comm, "reading the settings", [&] {
          ResolvedSettings resolved = resolve_settings(arguments);
          check_settings_for_training(resolved.values);
          check_simulation(resolved.values, comm);
          return resolved;
        });
        if (settings.values.dist.simulate_ranks > 0) {
          return train_simulated(comm, settings.values, stop);
        }
        return train(comm, settings.values, stop,
                     [&] { return open_device(comm, settings.values.device); });
      },
      report_error);
}

}  // namespace motley::launch
