// A training run from its start to its end: steps, validation, samples, checkpoints, and what is
// told about them. Everything is collective and every rank takes the same decisions.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "dist/communicator.h"
#include "dist/leaf_balancer.h"
#include "dist/straggler_watch.h"
#include "tensor/device.h"
#include "train/console.h"
#include "train/inject.h"
#include "train/metrics.h"
#include "train/prefetch.h"
#include "train/run_directory.h"
#include "train/run_lock.h"
#include "train/settings.h"
#include "train/step_profile.h"
#include "train/stop.h"
#include "train/train_setup.h"

namespace motley {

/// What a step has shown of the ranks' speed; on rank 0.
struct BalanceNews {
  std::optional<PlanChange> change;
  std::vector<Straggler> stragglers;
};

class Trainer {
 public:
  /// Opens data, model and run directory. Throws what is wrong with them, on every rank.
  /// `version` is the program's, for the start-up table; `stop` has watched from the start, for all
  /// this may take a while.
  Trainer(Device& device, Communicator& comm, const Settings& settings, const StopRequests& stop,
          std::string version);

  /// Trains until a limit is reached, patience runs out or a signal asks to stop, also one that
  /// came before; validates and saves at the end, even before the first step: it can be resumed
  /// then. Returns ok, or preempted after a signal. Throws NumericError after several steps without
  /// finite gradients.
  ExitCode run();

 private:
  /// Why a run ends; empty while it goes on.
  std::string reason_to_stop();
  void step();
  /// The next leaf, which must be this one of the step.
  Batch read_ahead_leaf(std::size_t leaf);
  void write_profile();
  bool scales_loss() const { return settings_.model.dtype == Precision::f16; }
  UpdateStep next_update(double rate) const;
  void follow_loss_scale(const StepResult& result);
  void check_finite(const StepResult& result);
  void check_replicas_now();
  void evaluate_now();
  void sample_now();
  void save_now();
  /// The same, but goes on with a warning when the disk refuses.
  void try_to_save();
  bool is_due(std::uint64_t every) const { return every > 0 && progress_.step % every == 0; }
  void print_startup();
  void warn_of_idle_ranks() const;
  /// Plans the leaves of later steps and finds out who holds up the others.
  BalanceNews balance(const StepResult& result);
  void write_metrics(const StepRecord& record, const BalanceNews& news);
  void report(const BalanceNews& news);
  void report(const PlanChange& change);
  void report(const Straggler& straggler);
  std::string describe_rank(int rank) const;

  Device& device_;
  Communicator& comm_;
  const StopRequests& stop_;
  Settings settings_;
  std::string version_;
  std::unique_ptr<RunLock> lock_;  // rank 0
  RunDirectory run_;
  TrainData data_;
  StartingPoint start_;
  TrainProgress progress_;
  MicroBatchShape leaf_shape_;
  std::size_t leaves_per_step_;
  Injector injector_;
  TrainStep train_;
  std::vector<KindPlans> products_;  // how each kind of device multiplies
  LeafBalancer balancer_;
  StragglerWatch stragglers_;
  LeafSource source_;
  std::optional<MetricsLog> metrics_;  // rank 0
  std::optional<StepProfile> profile_;
  Console console_;
  std::vector<RankRow> ranks_;             // as the start-up table shows them
  std::uint64_t bad_steps_ = 0;            // in a row
  std::optional<std::uint64_t> saved_at_;  // the step of the newest checkpoint
  std::int64_t signal_ = 0;                // that has reached any rank
  double untold_seconds_ = 0;              // of the last step, after its clock was told
  bool out_of_patience_ = false;
  std::optional<Prefetcher> prefetcher_;  // last: its thread reads from what stands above
};

}  // namespace motley
