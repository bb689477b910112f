// The program: picks the subcommand, and alone turns errors into text and exit codes.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "dist/agree.h"
#include "dist/job.h"
#include "dist/launcher.h"
#include "dist/same_build.h"
#include "launch/command.h"
#include "launch/report.h"
#include "tensor/error.h"
#include "train/suggest.h"

namespace motley::launch {
namespace {

/// On how many ranks of a launcher a command makes sense.
enum class Ranks { one, any };

struct Command {
  std::string_view name;
  std::string_view summary;
  int (*run)(Arguments arguments);
  Ranks ranks;
};

constexpr std::array<Command, 12> commands{{
    {"devices", "list the OpenCL devices of this machine", command_devices, Ranks::any},
    {"doctor", "check what training needs, alone or under mpirun", command_doctor, Ranks::any},
    {"tokenizer", "train a tokenizer; encode and decode text", command_tokenizer, Ranks::one},
    {"data", "prepare and inspect data sets", command_data, Ranks::one},
    {"config", "show settings, presets and where each value comes from", command_config,
     Ranks::one},
    {"tune", "find how this device multiplies a model's matrices fastest", command_tune,
     Ranks::one},
    {"train", "train a model, alone or under mpirun", command_train, Ranks::any},
    {"eval", "measure a model on a validation split, alone or under mpirun", command_eval,
     Ranks::any},
    {"sample", "write text with a model", command_sample, Ranks::one},
    {"ckpt", "list the checkpoints of a run", command_ckpt, Ranks::one},
    {"import", "make a checkpoint of a Hugging Face directory", command_import, Ranks::one},
    {"export", "make a Hugging Face directory of a checkpoint", command_export, Ranks::one},
}};

void print_help() {
  fmt::print(
      "motley {}: trains transformers on any mix of OpenCL devices\n\n"
      "Usage: motley COMMAND [ARGUMENTS]\n\n",
      MOTLEY_VERSION);
  for (const Command& command : commands) {
    fmt::print("  {:<10} {}\n", command.name, command.summary);
  }
  fmt::print("\n`motley COMMAND --help` explains a command.\n");
}

void check_ranks(const Command& command) {
  const int started = launched_size(read_environment).value_or(1);
  require<ConfigError>(command.ranks == Ranks::any || started == 1, "usage.ranks",
                       "motley {} was started {} times by {}, and each would do the same work\n"
                       "  run it once, without a launcher; only train, eval, doctor and devices "
                       "run on several ranks",
                       command.name, started, launcher_name(read_environment));
}

int run_command(std::string_view name, Arguments arguments) {
  std::vector<std::string> names;
  for (const Command& command : commands) {
    if (command.name == name) {
      check_ranks(command);
      return command.run(arguments);
    }
    names.emplace_back(command.name);
  }
  fail<ConfigError>("usage.unknown-command", "motley {}\n  no such command{}  (all: motley --help)",
                    name, suggestion(name, names));
}

int run(Arguments arguments) {
  if (arguments.empty()) {
    print_help();
    return static_cast<int>(ExitCode::usage);
  }
  const std::string& first = arguments.front();
  if (first == "--version") {
    fmt::print("motley {}\n", MOTLEY_VERSION);
  } else if (first == "--help" || first == "-h" || first == "help") {
    print_help();
  } else {
    return run_command(first, arguments.subspan(1));
  }
  return 0;
}

/// Speaks for itself and ends the process when the other ranks have not come for so long: a script
/// under the launcher may have started motley on this rank alone.
void speak_alone(const std::stop_token& met, const ConfigError& error) {
  constexpr std::chrono::seconds longest_meeting{10};
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, met, longest_meeting, [] { return false; });
  if (met.stop_requested()) return;
  report_error(error);
  std::_Exit(exit_code_for(error));
}

/// Reports what is wrong with the arguments, which is wrong with every rank's: once. A launcher
/// ends all ranks when one of them ends with an error, maybe before rank 0 has spoken, so they meet
/// first.
int report_once(const ConfigError& error) {
  if (!has_mpi_launcher(read_environment)) {
    if (launched_rank(read_environment).value_or(0) == 0) report_error(error);
    return exit_code_for(error);
  }
  std::jthread timer([&error](const std::stop_token& met) { speak_alone(met, error); });
  return run_job(
      [&](Communicator& comm) -> int {
        // As train and eval begin: what only one rank was given wrong ends the others there.
        same_build_on_all(comm, MOTLEY_VERSION);
        timer.request_stop();
        agree(comm, "reading the arguments", [&] { throw ConfigError(error); });
        return 0;
      },
      report_error);
}

/// Output that did not reach its file (a full disk) is a failure like any other.
void flush_output() {
  require<IoError>(std::fflush(stdout) == 0 && std::ferror(stdout) == 0, "io.failed",
                   "the output could not be written completely");
}

}  // namespace
}  // namespace motley::launch

int main(int argc, char** argv) {
  using namespace motley::launch;
  // A write beyond a limit on the size of files then fails and is reported like any other.
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    const std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
    const int exit_code = run(arguments);
    flush_output();
    return exit_code;
  } catch (const motley::ConfigError& error) {
    return report_once(error);
  } catch (const std::exception& error) {
    report_error(error);
    return exit_code_for(error);
  }
}
