// One training step on all ranks: leaves forward and backward, gradients reduced to their owners
// meanwhile, the norm and the clipping factor on the device, each owner's update, parameters
// gathered. Knows nothing of files, schedules or the console.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "dist/agree.h"
#include "dist/communicator.h"
#include "dist/leaf_deal.h"
#include "model/decoder.h"
#include "tensor/clock.h"
#include "tensor/recording.h"
#include "train/batch.h"
#include "train/gradient_reducer.h"
#include "train/optimizer.h"
#include "train/settings.h"

namespace motley {

/// Where a rank's time went in a step, in seconds.
struct StepTimes {
  double compute = 0;  // its leaves, on the device; of one rank alone, the update as well
  double exposed = 0;  // waiting for messages while nothing was computed
  double wait = 0;     // of that: waiting for slower ranks to finish their leaves
  double io = 0;       // waiting for data
};

/// One rank's share of a step.
struct RankStep {
  std::uint64_t leaves = 0;
  StepTimes times;
};

/// What a rank tells the others besides its sums, in the one exchange that a step has anyway.
struct StepWord {
  std::int64_t signal = 0;  // that asks the run to stop; 0: none
  double seconds = 0;       // of the run so far, by this rank's clock
};

/// What a step came to, the same on every rank. With the same leaves the first three are the same
/// bits on any number of ranks.
struct StepResult {
  double loss = 0;           // mean over the step's tokens
  double gradient_norm = 0;  // of the mean gradient, before clipping
  double factor = 0;  // what gradients were multiplied by: clipping, 1/tokens and 1/scale in one
  std::uint64_t tokens = 0;
  std::uint64_t non_finite = 0;  // gradient values; when there are any, nothing was updated
  int first_bad_rank = -1;       // the lowest rank whose own leaves gave gradients not finite
  int first_bad_bucket = -1;     // the first bucket in which that was so
  std::vector<RankStep> ranks;   // by rank
  std::int64_t signal = 0;       // the highest of what ranks were told
  double seconds = 0;            // rank 0's
};

/// Called at moments of every step, for faults on purpose (see inject.h); any may be empty.
struct StepHooks {
  std::function<void()> before_leaf;  // its data have come
  std::function<void()> after_leaf;   // all its work has been enqueued
  /// All work on a bucket's gradients of the last leaf has been enqueued; nothing has used them.
  std::function<void(std::size_t bucket)> on_gradients;
};

/// The parameters of a run on this rank with all that trains them.
class TrainStep {
 public:
  /// Collective. Parameters are zero until initialised or loaded. `seed`: of rounding at random.
  TrainStep(Device& device, Communicator& comm, const ModelConfig& config,
            const DecoderOptions& decoder, const OptimSettings& settings,
            const ReducerOptions& reducer = {}, std::uint64_t seed = 0);
  TrainStep(const TrainStep&) = delete;
  TrainStep& operator=(const TrainStep&) = delete;
  /// Waits for copies that are under way, as they are when a step has failed.
  ~TrainStep();

  /// Gives a leaf of the step. Those of this rank are asked for one by one, in rising order.
  using MakeLeaf = std::function<Batch(std::size_t leaf)>;
  /// Builds the kernels and takes the memory that leaves of this shape need. run() does so, too.
  void prepare(MicroBatchShape shape) { leaf_work(shape); }
  /// Collective. Computes this rank's leaves of the plan, which is the same on all ranks, and
  /// updates all parameters once. What make_leaf throws on one rank, all ranks throw, and nothing
  /// is updated. `word` is asked for when the leaves are done.
  StepResult run(const LeafPlan& plan, const MakeLeaf& make_leaf, const UpdateStep& step,
                 const std::function<StepWord()>& word = nullptr);

  /// What leaves of this shape are computed by, if there is one: it can lend its memory between
  /// steps.
  const Recording* recording_of(MicroBatchShape shape) const;

  void set_hooks(StepHooks hooks) { hooks_ = std::move(hooks); }

  /// Collective. Starts the parameters from a seed; rank 0's bits for all.
  void initialize(std::uint64_t seed);
  /// Writes a parameter's values, f32 and row-major.
  using ReadParameter = std::function<void(const ParamSpec& spec, std::span<float> values)>;
  /// Collective. Sets all parameters to what `read` says on rank 0, the only one that calls it.
  /// What it throws, all ranks throw; `phase` says of what.
  void set_parameters(std::string_view phase, const ReadParameter& read);
  /// In which order ranks take a step's leaves.
  const std::vector<int>& rank_order() const { return reducer_.rank_order(); }
  /// Which leaves each rank computes under a plan.
  LeafDeal deal(const LeafPlan& plan) const {
    return deal_leaves(plan, rank_order(), reducer_.dealing());
  }

  Device& device() { return device_; }
  Communicator& comm() { return comm_; }
  /// These wait until the parameters of the last step have come from their owners.
  ParamStore& params();
  Decoder& decoder();
  Optimizer& optimizer() { return optimizer_; }
  GradientReducer& reducer() { return reducer_; }

 private:
  /// What a rank tells the others of its step. One that could not read a leaf has computed
  /// stand-ins, for the others wait for its gradients; when told, all throw what it met.
  struct Report {
    bool has_data = true;
    std::uint64_t tokens = 0;
    std::uint64_t non_finite = 0;
    std::int64_t first_bad_bucket = -1;
    StepTimes times;
    StepWord word;
  };
  /// All that ranks tell each other: a report, a loss for each leaf, the sums of the chunks a rank
  /// owns. One rank alone has the sums on its device.
  struct Told {
    std::vector<Report> reports;
    double loss = 0;
    std::vector<float> sums;  // of all chunks: squares, then counts of what is not finite
  };
  /// Forward and backward of leaves of one shape.
  struct LeafWork {
    MicroBatchShape shape;
    BatchSlot batch;
    std::optional<Recording> recording;

    LeafWork(Device& device, MicroBatchShape of) : shape(of), batch(device, of.B, of.T) {}
  };

  /// Null where there is none yet.
  LeafWork* find_leaf_work(MicroBatchShape shape) const;
  LeafWork& leaf_work(MicroBatchShape shape);
  void record_leaf(LeafWork& work);
  void call_host(const HostCall& call);
  void set_block(std::size_t block, std::span<const float> values);
  Report accumulate_gradients(const std::vector<std::size_t>& leaves, const MakeLeaf& make_leaf);
  Batch read(const MakeLeaf& make_leaf, std::size_t leaf, Report& report);
  void make_room_for_losses(std::size_t leaves);
  static std::size_t num_chunks_of(const Range& range);
  std::size_t num_owned_chunks(std::size_t rank) const;
  void set_loss_scale(float scale);
  float loss_scale() const { return loss_scale_.empty() ? 1 : loss_scale_set_; }
  void sum_owned_squares();
  Told tell_all(const LeafDeal& deal, Report mine);
  void place_chunks(Told& told, std::size_t rank, std::span<const float> sums) const;
  void update(const Told& told, const UpdateStep& step);
  void record_update();
  // In train_step_told.cpp, as are tell_all and place_chunks.
  void finish_alone(Told& told, std::span<const float> outcome);
  StepResult combine(const LeafDeal& deal, const Told& told) const;
  void find_non_finite(StepResult& result, std::span<const float> sums) const;

  Device& device_;
  Communicator& comm_;
  OptimSettings settings_;
  StepHooks hooks_;
  std::optional<Failure> failure_;  // of reading this rank's leaves
  GradientReducer reducer_;
  ParamStore params_;
  Decoder decoder_;
  Optimizer optimizer_;
  std::size_t num_chunks_;
  Tensor outcome_;     // control_ and losses_
  Tensor control_;     // see op::UpdateControl
  Tensor losses_;      // [leaves of this rank]
  Tensor leaf_loss_;   // [1]
  Tensor loss_scale_;  // [1]; empty unless activations are f16
  float loss_scale_set_ = 0;
  Tensor owned_sums_;  // [2 * chunks of this rank]: squares, then counts
  Tensor all_sums_;    // [2 * all chunks]; of one rank alone, owned_sums_
  Tensor totals_;      // [2]

  std::vector<std::unique_ptr<LeafWork>> leaf_works_;
  std::function<void(const HostCall&)> on_call_;
  std::optional<Recording> squares_work_;
  std::optional<Recording> update_work_;
  // Of the step under way.
  Clock::time_point began_;
  bool is_last_leaf_ = false;
  op::UpdateNumbers numbers_;           // what control_ is written from
  std::optional<Event> numbers_read_;   // by the device
  std::vector<float> all_sums_values_;  // what all_sums_ is written from
};

}  // namespace motley
