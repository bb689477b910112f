#include "train/settings.h"

#include <fmt/format.h>

#include <optional>
#include <utility>
#include <vector>

#include "dist/placement_devices.h"
#include "tensor/checked.h"
#include "tensor/error.h"
#include "train/faults.h"
#include "train/presets.h"
#include "train/settings_flags.h"
#include "train/settings_toml.h"
#include "train/step_profile.h"

namespace motley {
namespace {

constexpr std::string_view run_config = "config.toml";

/// The last value that was assigned to a setting.
template <class T>
T last_value(std::span<const Assignment> assignments, std::string_view full_name, T value) {
  for (const Assignment& assignment : assignments) {
    if (assignment.row->full_name() == full_name) value = std::get<T>(assignment.value);
  }
  return value;
}

/// Replaces the model's shape by a preset's and notes which values that changed.
void apply_preset(ResolvedSettings& resolved, const std::string& name) {
  const Settings defaults;
  resolved.values.model = find_preset(name)->model;  // the name was one of the row's choices
  for (const Setting& row : settings_table()) {
    const bool changed = row.get(resolved.values, row) != row.get(defaults, row);
    if (changed) resolved.origins[row.full_name()] = "preset " + name;
  }
}

void check_batch(const Settings& settings) {
  const std::uint64_t leaf = leaf_tokens(settings);
  const std::uint64_t wanted = settings.train.global_batch;
  if (wanted % leaf == 0) return;
  const std::uint64_t below = wanted / leaf * leaf;
  fail<ConfigError>(
      "config.batch",
      "train.global_batch = {} tokens\n  must be a multiple of micro_batch * sequence = "
      "{} * {} = {}; the nearest {} {}",
      wanted, settings.train.micro_batch, sequence_length(settings), leaf,
      below == 0 ? "is" : "are",
      below == 0 ? fmt::format("{}", leaf) : fmt::format("{} and {}", below, below + leaf));
}

}  // namespace

ResolvedSettings resolve_settings(std::span<const std::string> arguments) {
  const CommandLine line = read_command_line(arguments);
  const std::string run = last_value(line.flags, "train.run", TrainSettings{}.run);
  std::optional<io::Path> file = line.file;
  const bool from_run = !file && last_value(line.flags, "train.resume", false);
  if (from_run && io::exists(io::Path(run) / run_config)) file = io::Path(run) / run_config;

  std::vector<Assignment> assignments;
  if (file) assignments = read_toml(*file);
  assignments.insert(assignments.end(), line.flags.begin(), line.flags.end());

  ResolvedSettings resolved;
  apply_preset(resolved, last_value(assignments, "model.preset", ModelSettings{}.preset));
  for (const Assignment& assignment : assignments) {
    assignment.row->set(resolved.values, *assignment.row, assignment.value);
    resolved.origins[assignment.row->full_name()] = assignment.origin;
  }
  if (from_run) resolved.values.train.run = run;  // the directory may have been renamed since
  check_settings(resolved.values);
  return resolved;
}

void check_settings(const Settings& settings) {
  const ModelSettings& model = settings.model;
  require<ConfigError>(model.width % model.heads == 0, "config.model",
                       "model.width = {} and model.heads = {}\n  heads must divide width",
                       model.width, model.heads);
  model_config(model, 1).validate();
  // Weights to start from bring their own context; the trainer checks against that.
  if (settings.train.init_from.empty()) {
    require<ConfigError>(sequence_length(settings) <= model.context, "config.sequence",
                         "train.sequence = {}\n  must be at most model.context = {}",
                         settings.train.sequence, model.context);
    check_batch(settings);
  }
  (void)DeviceSpec::parse(settings.device.use);
  (void)parse_faults(settings.train.inject);
  (void)parse_profile_steps(settings.device.profile);
  require<ConfigError>(LossScale::is_scale(settings.optim.loss_scale), "config.value",
                       "optim.loss_scale = {}\n  must be a power of two, such as {}",
                       settings.optim.loss_scale, LossScale::largest);
  require<ConfigError>(
      !settings.optim.stochastic_rounding || model.dtype == Precision::bf16, "config.conflict",
      "optim.stochastic_rounding is for weights in bf16\n  give --model.dtype bf16 "
      "with it");
  // Rank 0 hears of the others once a second: less would blame ranks that are well.
  constexpr double least_timeout = 2;
  const double timeout = settings.dist.step_timeout;
  require<ConfigError>(timeout == 0 || timeout >= least_timeout, "config.value",
                       "dist.step_timeout = {:g}\n  is 0 (automatic), or at least {:g} seconds",
                       timeout, least_timeout);
  require<ConfigError>(!settings.train.run.empty(), "config.value",
                       "train.run is empty\n  name the directory of the run");
  require<ConfigError>(!settings.train.resume || !settings.train.overwrite, "config.conflict",
                       "train.resume and train.overwrite are both set\n  give one of them");
}

void check_settings_for_training(const Settings& settings) {
  const TrainSettings& train = settings.train;
  require<ConfigError>(!settings.data.path.empty(), "config.missing",
                       "data.path is not set\n  make a data set with `motley data prepare` and "
                       "name its directory: --data.path DIR");
  require<ConfigError>(train.steps > 0 || train.tokens > 0 || train.minutes > 0, "config.missing",
                       "nothing limits the run\n  give one or more of --train.steps N, "
                       "--train.tokens N and --train.minutes N; the first reached ends it");
}

ModelConfig model_config(const ModelSettings& settings, std::size_t vocab) {
  ModelConfig config;
  config.family = settings.family;
  config.vocab = settings.vocab > 0 ? settings.vocab : vocab;
  config.context = settings.context;
  config.layers = settings.layers;
  config.width = settings.width;
  config.heads = settings.heads;
  config.kv_heads = settings.kv_heads;
  config.head_dim = settings.width / settings.heads;
  config.mlp_width = settings.mlp_width;
  config.tie = settings.tie;
  config.norm_eps = static_cast<float>(settings.norm_eps);
  config.rope_theta = static_cast<float>(settings.rope_theta);
  config.init_std = static_cast<float>(settings.init_std);
  return config;
}

Dtype activation_dtype(const ModelSettings& settings) {
  switch (settings.dtype) {
    case Precision::f32:
      return Dtype::f32;
    case Precision::bf16:
      return Dtype::bf16;
    case Precision::f16:
      return Dtype::f16;
  }
  return Dtype::f32;
}

std::uint64_t sequence_length(const Settings& settings) {
  return settings.train.sequence > 0 ? settings.train.sequence : settings.model.context;
}

std::uint64_t leaf_tokens(const Settings& settings) {
  return checked_mul(settings.train.micro_batch, sequence_length(settings));
}

std::uint64_t leaves_per_step(const Settings& settings, std::uint64_t num_ranks) {
  const std::uint64_t wanted = settings.train.global_batch;
  return wanted > 0 ? wanted / leaf_tokens(settings) : num_ranks;
}

}  // namespace motley
