// A training run from its start to its end: steps, validation, samples, checkpoints, and what is
// told about them. Everything is collective and every rank takes the same decisions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "dist/communicator.h"
#include "dist/range.h"
#include "tensor/device.h"
#include "train/console.h"
#include "train/metrics.h"
#include "train/prefetch.h"
#include "train/run_directory.h"
#include "train/settings.h"
#include "train/stop.h"
#include "train/tokenizer.h"
#include "train/train_setup.h"

namespace motley {

class Trainer {
 public:
  /// Opens data, model and run directory. Throws what is wrong with them, on every rank.
  /// `version` is the program's, for the start-up table.
  Trainer(Device& device, Communicator& comm, const Settings& settings, std::string version);

  /// Trains until a limit is reached, patience runs out or a signal asks to stop; validates and
  /// saves at the end. Returns ok, or preempted after a signal. Throws NumericError after several
  /// steps without finite gradients.
  ExitCode run();

 private:
  /// Why a run ends; empty while it goes on.
  std::string reason_to_stop(const StopRequests& stop);
  void step();
  void check_finite(const StepResult& result);
  void evaluate_now();
  void sample_now();
  void save_now();
  bool is_due(std::uint64_t every) const { return every > 0 && progress_.step % every == 0; }
  void share_time(double step_seconds);
  void print_startup();

  Device& device_;
  Communicator& comm_;
  Settings settings_;
  std::string version_;
  RunDirectory run_;
  TrainData data_;
  StartingPoint start_;
  std::optional<Tokenizer> tokenizer_;
  TrainProgress progress_;
  MicroBatchShape leaf_shape_;
  std::size_t leaves_per_step_;
  Range my_leaves_;
  TrainStep train_;
  LeafSource source_;
  std::optional<MetricsLog> metrics_;  // rank 0
  Console console_;
  std::uint64_t bad_steps_ = 0;  // in a row
  std::uint64_t saved_at_ = 0;
  bool out_of_patience_ = false;
  std::optional<Prefetcher> prefetcher_;  // last: its thread reads from what stands above
};

}  // namespace motley
