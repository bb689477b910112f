// The program: picks the subcommand, and alone turns errors into text and exit codes.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "launch/command.h"
#include "launch/report.h"
#include "tensor/error.h"
#include "train/suggest.h"

namespace motley::launch {
namespace {

struct Command {
  std::string_view name;
  std::string_view summary;
  int (*run)(Arguments arguments);
};

constexpr std::array<Command, 11> commands{{
    {"devices", "list the OpenCL devices of this machine", command_devices},
    {"doctor", "check what training needs, alone or under mpirun", command_doctor},
    {"tokenizer", "train a tokenizer; encode and decode text", command_tokenizer},
    {"data", "prepare and inspect data sets", command_data},
    {"config", "show settings, presets and where each value comes from", command_config},
    {"train", "train a model, alone or under mpirun", command_train},
    {"eval", "measure a model on a validation split", command_eval},
    {"sample", "write text with a model", command_sample},
    {"ckpt", "list the checkpoints of a run", command_ckpt},
    {"import", "make a checkpoint of a Hugging Face directory", command_import},
    {"export", "make a Hugging Face directory of a checkpoint", command_export},
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

int run_command(std::string_view name, Arguments arguments) {
  std::vector<std::string> names;
  for (const Command& command : commands) {
    if (command.name == name) return command.run(arguments);
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

/// Output that did not reach its file (a full disk) is a failure like any other.
void flush_output() {
  require<IoError>(std::fflush(stdout) == 0 && std::ferror(stdout) == 0, "io.failed",
                   "the output could not be written completely");
}

}  // namespace
}  // namespace motley::launch

int main(int argc, char** argv) {
  using namespace motley::launch;
  try {
    const std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
    const int exit_code = run(arguments);
    flush_output();
    return exit_code;
  } catch (const std::exception& error) {
    report_error(error);
    return exit_code_for(error);
  }
}
