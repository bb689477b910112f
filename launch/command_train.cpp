// motley train: trains a model, alone or as one of many ranks under mpirun.
#include <fmt/format.h>

#include "dist/agree.h"
#include "dist/job.h"
#include "launch/command.h"
#include "launch/open_device.h"
#include "launch/report.h"
#include "tensor/log.h"
#include "train/settings.h"
#include "train/settings_table.h"
#include "train/trainer.h"

namespace motley::launch {

int command_train(Arguments arguments) {
  if (asks_for_help(arguments)) {
    fmt::print(
        "Usage: motley train [CONFIG.toml] [--section.key value ...]\n"
        "       mpirun -n RANKS --bind-to none motley train ...\n\n"
        "Trains a model and writes a run directory: config.toml, metrics.jsonl, log/ and ckpt/.\n"
        "Settings: defaults < preset < CONFIG.toml < flags; `motley config show` prints them "
        "all.\n\n{}",
        describe_settings());
    return 0;
  }
  return run_job(
      [&](Communicator& comm) {
        log::set_rank(comm.rank(), comm.size());
        const ResolvedSettings settings = agree(comm, "reading the settings", [&] {
          ResolvedSettings resolved = resolve_settings(arguments);
          check_settings_for_training(resolved.values);
          return resolved;
        });
        const std::unique_ptr<Device> device = open_device(comm, settings.values.device);
        Trainer trainer(*device, comm, settings.values, MOTLEY_VERSION);
        return static_cast<int>(trainer.run());
      },
      report_error);
}

}  // namespace motley::launch
