// Everything a user can set, as plain values, and how it is put together: defaults < preset < TOML
// file < flags. The members' initialisers are the defaults; settings_table.cpp has one row for each
// of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "model/config.h"
#include "tensor/dtype.h"
#include "train/loss_scale.h"

namespace motley {

enum class ScheduleKind { cosine, linear, constant, wsd };

/// What a run does about plans of products that tuning finds.
enum class Tuning {
  off,        // every product by the default
  load,       // uses what was found before
  automatic,  // and tunes, once, what was not
};

/// How numbers are stored or sent.
enum class Precision { f32, bf16, f16 };

/// The shape's defaults are those of the preset "llama-10m".
struct ModelSettings {
  std::string preset = "llama-10m";
  Family family = Family::llama;
  std::uint64_t layers = 6;
  std::uint64_t width = 384;
  std::uint64_t heads = 6;
  std::uint64_t kv_heads = 2;
  std::uint64_t mlp_width = 896;
  std::uint64_t context = 256;  // the longest sequence, in tokens
  std::uint64_t vocab = 0;      // 0: as many as the data's tokenizer has
  bool tie = true;
  Recompute recompute = Recompute::none;
  Precision dtype = Precision::f32;
  double norm_eps = 1e-5;
  double rope_theta = 10000.0;
  double init_std = 0.02;
};

struct DataSettings {
  std::string path = {};
  bool verify = false;
};

struct TrainSettings {
  std::string run = "runs/default";
  std::uint64_t steps = 0;  // 0: no limit, as for tokens and minutes
  std::uint64_t tokens = 0;
  double minutes = 0;
  std::uint64_t seed = 1337;
  std::uint64_t sequence = 0;      // 0: the model's context
  std::uint64_t micro_batch = 8;   // sequences in a leaf
  std::uint64_t global_batch = 0;  // tokens in a step; 0: one leaf a rank
  std::uint64_t eval_every = 0;    // steps; 0: only at the end
  std::uint64_t eval_tokens = 0;   // 0: the whole validation split
  std::uint64_t sample_every = 0;  // steps; 0: never
  std::string sample_prompt = {};
  std::uint64_t sample_tokens = 64;
  std::uint64_t save_every = 0;  // steps; 0: only at the end
  std::uint64_t keep = 3;
  std::uint64_t patience = 0;  // evaluations; 0: never stop early
  bool resume = false;
  bool overwrite = false;
  std::string allow_change = {};  // keys, separated by commas
  std::string init_from = {};
  double log_every = 5;     // seconds
  std::string inject = {};  // faults, for tests; see train/inject.h
};

struct OptimSettings {
  std::string name = "adamw";
  double lr = 6e-4;
  double min_lr_ratio = 0.1;
  ScheduleKind schedule = ScheduleKind::cosine;
  std::uint64_t warmup = 0;  // steps
  double decay_fraction = 0.2;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-8;
  double momentum = 0.9;
  double weight_decay = 0.1;
  double clip = 1.0;  // 0: off
  bool stochastic_rounding = false;
  std::uint64_t loss_scale = static_cast<std::uint64_t>(LossScale::largest);
};

struct DeviceChoiceSettings {
  std::string use = "auto";  // a DeviceSpec
  std::string kernels = "auto";
  bool share = false;
  bool one_core = false;
  std::string cache = {};    // empty: the default directory
  std::string profile = {};  // steps to profile; see train/step_profile.h
  bool matrix_units = true;
  Tuning tune = Tuning::load;
};

struct DistSettings {
  bool exact = true;
  Precision wire = Precision::f32;  // of sums between hosts
  std::uint64_t zero = 1;  // ZeRO's stage: 1 shards the optimizer's state, 2 gradients as well
  bool shared_memory = true;
  bool zero_copy = true;
  bool watchdog = true;
  double device_timeout = 300;       // seconds to load drivers and open a device
  double step_timeout = 0;           // seconds; 0: from the steps' own times
  std::uint64_t check_every = 100;   // steps; 0: never
  std::uint64_t replan_every = 10;   // steps; 0: never
  std::uint64_t simulate_ranks = 0;  // as threads of one process; 0: not simulated
};

struct Settings {
  ModelSettings model;
  DataSettings data;
  TrainSettings train;
  OptimSettings optim;
  DeviceChoiceSettings device;
  DistSettings dist;
};

/// Settings and, for each "section.key" that is not at its default, where its value came from:
/// "preset llama-1b", "run.toml:7" or "--optim.lr".
struct ResolvedSettings {
  Settings values;
  std::map<std::string, std::string> origins;
};

/// Puts settings together from a command line (see settings_flags.h) and checks them. With --resume
/// and no file, the run's own config.toml is the file. Throws ConfigError naming file and line or
/// flag, the rule, and the nearest valid name.
ResolvedSettings resolve_settings(std::span<const std::string> arguments);

/// Throws ConfigError for values that do not go together.
void check_settings(const Settings& settings);

/// Throws ConfigError unless a data set is named and something limits the run.
void check_settings_for_training(const Settings& settings);

/// The model that the settings describe, over `vocab` tokens unless the settings name a number.
ModelConfig model_config(const ModelSettings& settings, std::size_t vocab);

/// What activations and their gradients are stored as.
Dtype activation_dtype(const ModelSettings& settings);

/// T: tokens in a training sequence.
std::uint64_t sequence_length(const Settings& settings);
/// Tokens in a leaf: micro_batch sequences.
std::uint64_t leaf_tokens(const Settings& settings);
/// Leaves in a step: what global_batch holds, or one a rank.
std::uint64_t leaves_per_step(const Settings& settings, std::uint64_t num_ranks);

}  // namespace motley
