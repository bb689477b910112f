// motley ckpt: what checkpoints a run has and whether they are whole.
#include <fmt/format.h>

#include "launch/command.h"
#include "tensor/error.h"
#include "train/checkpoint_directory.h"
#include "train/checkpoint_state.h"
#include "train/console.h"

namespace motley::launch {
namespace {

std::string describe(const io::Path& checkpoint) {
  std::uint64_t bytes = 0;
  for (const CheckpointFile& file : read_manifest(checkpoint)) bytes += file.bytes;
  const TrainProgress progress = CheckpointState::read(checkpoint).progress;
  return fmt::format("{:>8}  {:>10}  {:>10}  {:>9}", progress.step,
                     format_bytes(static_cast<double>(bytes)),
                     format_count(static_cast<double>(progress.tokens)),
                     progress.best_loss ? fmt::format("{:.4f}", *progress.best_loss) : "-");
}

/// Prints a line a checkpoint; a damaged one is shown as such and makes the exit code 5.
int list_checkpoints(const io::Path& run, bool verify) {
  const io::Path ckpt = io::is_directory(run / "ckpt") ? run / "ckpt" : run;
  const std::vector<std::uint64_t> steps = checkpoint_steps(ckpt);
  require<CheckpointError>(!steps.empty(), "ckpt.none",
                           "there is no checkpoint in {}; give a run directory", run.string());
  fmt::print("{:>8}  {:>10}  {:>10}  {:>9}  {:<8}  path\n", "step", "size", "tokens", "best loss",
             "state");
  int exit_code = 0;
  for (const std::uint64_t step : steps) {
    const io::Path path = ckpt / checkpoint_name(step);
    try {
      const std::string line = describe(path);
      if (verify) verify_checkpoint(path);
      fmt::print("{}  {:<8}  {}\n", line, verify ? "verified" : "complete", path.string());
    } catch (const Error& e) {
      fmt::print("{:>8}  damaged: {}\n", step, e.what());
      exit_code = static_cast<int>(ExitCode::checkpoint);
    }
  }
  return exit_code;
}

}  // namespace

int command_ckpt(Arguments arguments) {
  cxxopts::Options options("motley ckpt list", "The checkpoints of a run.");
  options.positional_help("RUN");
  options.add_options()("run", "run directory", cxxopts::value<std::string>())(
      "verify", "read every byte and compare its hash");
  options.parse_positional({"run"});
  const bool is_list = !arguments.empty() && arguments.front() == "list";
  const auto parsed = parse_options(options, is_list ? arguments.subspan(1) : arguments);
  if (!parsed) return 0;
  require<ConfigError>(is_list, "usage.ckpt",
                       "motley ckpt knows one command: motley ckpt list RUN");
  return list_checkpoints(required_text(*parsed, "run"), parsed->count("verify") > 0);
}

}  // namespace motley::launch
