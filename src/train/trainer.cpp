#include "train/trainer.h"

#include <csignal>

#include "dist/agree.h"
#include "model/products.h"
#include "tensor/clock.h"
#include "tensor/error.h"
#include "tensor/log.h"
#include "train/checkpoint.h"
#include "train/evaluate.h"
#include "train/generate.h"
#include "train/replica_check.h"
#include "train/schedule.h"
#include "train/settings_toml.h"
#include "train/settle_plans.h"

namespace motley {
namespace {

// A step without finite gradients changes nothing and may be an accident; several in a row are
// none.
constexpr std::uint64_t max_bad_steps = 3;
// Micro-batches that are read ahead of the device.
constexpr ReadAhead read_ahead{.leaves = 4, .steps = 4};

/// From before the run directory is looked at until the job ends.
std::unique_ptr<RunLock> lock_run(Communicator& comm, const Settings& settings) {
  same_on_all(comm, "the settings", to_toml(settings));
  std::unique_ptr<RunLock> lock;
  agree(comm, "locking the run directory", [&] {
    if (comm.rank() == 0) lock = std::make_unique<RunLock>(settings.train.run);
  });
  return lock;
}

/// The run directory, checked but not touched: nothing is made or deleted before all else is found
/// good. A batch that was left open is that of the run which is resumed.
RunDirectory check_run(Communicator& comm, Settings& settings) {
  RunDirectory run(settings.train.run);
  const auto notes = agree(comm, "checking the run directory", [&] {
    return comm.rank() == 0 ? run.check(settings) : std::vector<std::string>();
  });
  for (const std::string& note : notes) log::info("{}", note);
  if (settings.train.resume && settings.train.global_batch == 0) {
    std::uint64_t batch = agree(comm, "reading the stored settings",
                                [&] { return comm.rank() == 0 ? run.stored_batch() : 0; });
    comm.broadcast(std::as_writable_bytes(std::span(&batch, 1)), 0);
    settings.train.global_batch = batch;
  }
  return run;
}

std::size_t choose_leaves_per_step(const Settings& settings, MicroBatchShape shape, int num_ranks) {
  const std::uint64_t batch = settings.train.global_batch;
  if (batch == 0) return static_cast<std::size_t>(num_ranks);
  require<ConfigError>(
      batch % shape.N() == 0, "train.global-batch",
      "train.global_batch is {} tokens; it must be a multiple of a micro-batch's {} ({} "
      "sequences of {}), such as {}",
      batch, shape.N(), shape.B, shape.T, round_up(batch, shape.N()));
  return static_cast<std::size_t>(batch / shape.N());
}

MicroBatchShape choose_leaf_shape(const Settings& settings, const ModelConfig& model) {
  const std::size_t T = settings.train.sequence == 0 ? model.context : settings.train.sequence;
  require<ConfigError>(T <= model.context, "train.sequence",
                       "train.sequence is {}, longer than the model's context of {}", T,
                       model.context);
  return {settings.train.micro_batch, T};
}

DecoderOptions decoder_options(const ModelSettings& settings) {
  return {.recompute = settings.recompute, .dtype = activation_dtype(settings)};
}

PlanSettings plan_settings(const Settings& settings, const ModelConfig& model,
                           MicroBatchShape shape) {
  PlanSettings plans{
      .tuning = settings.device.tune, .shapes = {}, .dtype = decoder_options(settings.model).dtype};
  for (const Product& product : training_products(model, shape.B, shape.T, plans.dtype))
    plans.shapes.push_back(product.shape);
  return plans;
}

ReducerOptions reducer_options(const DistSettings& settings) {
  return {.exchange = {.wire = settings.wire == Precision::bf16 ? Wire::bf16 : Wire::f32,
                       .shared_memory = settings.shared_memory},
          .exact = settings.exact,
          .memory = settings.zero_copy ? HostMemory::automatic : HostMemory::copied,
          .shard_gradients = settings.zero == 2};
}

/// Where the run stands, with a loss scale if it is to have one and had none.
TrainProgress start_progress(const StartingPoint& start, const Settings& settings) {
  TrainProgress progress = start.progress;
  if (!progress.loss_scale && settings.model.dtype == Precision::f16)
    progress.loss_scale = LossScale{.scale = static_cast<float>(settings.optim.loss_scale)};
  return progress;
}

std::string device_key(const DeviceInfo& info) {
  return info.platform + ", " + info.name + ", " + info.driver;
}

std::uint64_t checkpoint_bytes(const io::Path& checkpoint) {
  std::uint64_t bytes = 0;
  for (const CheckpointFile& file : read_manifest(checkpoint)) bytes += file.bytes;
  return bytes;
}

}  // namespace

Trainer::Trainer(Device& device, Communicator& comm, const Settings& settings,
                 const StopRequests& stop, std::string version)
    : device_(device),
      comm_(comm),
      stop_(stop),
      settings_(settings),
      version_(std::move(version)),
      lock_(lock_run(comm, settings_)),
      run_(check_run(comm, settings_)),
      data_(open_train_data(comm, settings.data)),
      start_(find_start(comm, settings, run_, data_)),
      progress_(start_progress(start_, settings_)),
      leaf_shape_(agree(comm, "choosing the batch",
                        [&] { return choose_leaf_shape(settings, start_.model); })),
      leaves_per_step_(
          agree(comm, "choosing the batch",
                [&] { return choose_leaves_per_step(settings_, leaf_shape_, comm.size()); })),
      injector_(agree(comm, "reading the faults",
                      [&] {
                        std::vector<Fault> faults = parse_faults(settings.train.inject);
                        check_faults(faults, comm.size());
                        return faults;
                      }),
                comm.rank()),
      train_(device, comm, start_.model, decoder_options(settings.model), settings.optim,
             reducer_options(settings.dist), settings.train.seed),
      balancer_(comm, train_.rank_order(), leaves_per_step_, progress_.step,
                {settings.dist.replan_every, read_ahead.steps}),
      stragglers_(static_cast<std::size_t>(comm.size())),
      source_(data_.train, settings.train.seed, {{leaf_shape_.B, leaf_shape_.T}, leaves_per_step_}),
      console_(settings.train.log_every) {
  data_.train.limit_vocabulary(start_.model.vocab);
  if (data_.validation) data_.validation->limit_vocabulary(start_.model.vocab);
  injector_.attach(train_);
  products_ = settle_plans(comm, device, plan_settings(settings, start_.model, leaf_shape_),
                           start_.products);
  load_start(train_, start_, settings.train.seed);
  // As a number it stays what it is when the run goes on with another number of ranks.
  settings_.train.global_batch = leaves_per_step_ * leaf_shape_.N();
  agree(comm, "making the run directory", [&] {
    if (comm.rank() != 0) return;
    run_.begin(settings_);
    metrics_.emplace(run_.metrics(), progress_.step);
  });
  // A process has one log.
  const bool has_log = settings.dist.simulate_ranks == 0 || comm.rank() == 0;
  agree(comm, "opening the log", [&] {
    if (has_log) run_.start_log(comm.rank());
  });
  if (const auto steps = parse_profile_steps(settings.device.profile))
    profile_.emplace(device, comm, *steps, run_.profiles());
  if (settings.train.resume) saved_at_ = progress_.step;
}

ExitCode Trainer::run() {
  print_startup();
  prefetcher_.emplace(
      progress_.step, read_ahead,
      [this](std::uint64_t step) {
        const auto plan = balancer_.schedule().plan_if_kept(step);
        return plan ? train_.deal(*plan).leaves(comm_.rank()) : std::vector<std::size_t>();
      },
      source_);
  signal_ = comm_.all_reduce_max(stop_.signal());
  std::string reason;
  while ((reason = reason_to_stop()).empty()) {
    step();
    const bool is_last = is_finished(settings_.train, progress_);
    const bool saves = is_last || is_due(settings_.train.save_every);
    if (!saves && is_due(settings_.dist.check_every)) check_replicas_now();  // saving does as well
    if (is_last || is_due(settings_.train.eval_every)) evaluate_now();
    if (is_due(settings_.train.sample_every)) sample_now();
    if (is_last) {
      save_now();
    } else if (saves) {
      try_to_save();
    }
  }
  comm_.recorder().enter(Phase::finish, progress_.step);
  prefetcher_.reset();
  if (saved_at_ != progress_.step) save_now();
  console_.stopped(progress_.step, reason);
  return signal_ != 0 ? ExitCode::preempted : ExitCode::ok;
}

std::string Trainer::reason_to_stop() {
  if (signal_ != 0) return fmt::format("signal {}; go on with --train.resume", signal_);
  if (out_of_patience_) {
    return fmt::format("no better validation loss in {} evaluations", settings_.train.patience);
  }
  if (is_finished(settings_.train, progress_)) {
    return fmt::format("the limit is reached after {:.2f} passes over the data",
                       source_.epochs_before(progress_.step));
  }
  return "";
}

Batch Trainer::read_ahead_leaf(std::size_t leaf) {
  Leaf read = prefetcher_->next();
  require<ShapeError>(read.step == progress_.step && read.index == leaf, "leaf-plan.leaf",
                      "leaf {} of step {} was read ahead where leaf {} of step {} is next; this is "
                      "a fault of the program",
                      read.index, read.step, leaf, progress_.step);
  return std::move(read.batch);
}

/// Nothing here waits for other ranks but the step itself, so that parameters are gathered while
/// the next step begins. Rank 0's clock is the run's: limits and schedules by time must come out
/// the same everywhere.
void Trainer::step() {
  const auto started = Clock::now();
  auto told = started;
  const std::uint64_t tokens_per_step = leaves_per_step_ * leaf_shape_.N();
  const RunLength length = run_length(settings_.train, tokens_per_step, progress_);
  const double rate = learning_rate(settings_.optim, progress_.step, length.steps);
  if (profile_) profile_->before_step(progress_.step + 1);
  prefetcher_->begin_step(progress_.step);
  injector_.before_step(comm_, progress_.step + 1);
  const StepResult result = train_.run(
      balancer_.schedule().plan(progress_.step),
      [this](std::size_t leaf) { return read_ahead_leaf(leaf); }, next_update(rate),
      [&] {
        told = Clock::now();
        return StepWord{stop_.signal(),
                        progress_.seconds + untold_seconds_ + seconds_since(started)};
      });
  const LossScale scale = progress_.loss_scale.value_or(LossScale{});
  on_all([&] { check_finite(result); });
  injector_.after_update(train_);
  ++progress_.step;
  progress_.tokens += result.tokens;
  signal_ = result.signal;
  progress_.seconds = result.seconds;
  const double step_seconds = seconds_since(started);
  const StepRecord record{.step = progress_.step,
                          .tokens = progress_.tokens,
                          .seconds = progress_.seconds,
                          .loss = result.loss,
                          .gradient_norm = result.gradient_norm,
                          .learning_rate = rate,
                          .step_tokens = result.tokens,
                          .step_seconds = step_seconds,
                          .loss_scale = scales_loss() ? std::optional(scale.scale) : std::nullopt,
                          .skipped = progress_.loss_scale ? progress_.loss_scale->skipped : 0,
                          .ranks = result.ranks};
  const BalanceNews news = balance(result);
  write_metrics(record, news);
  console_.step(record, length);
  report(news);
  if (profile_) write_profile();
  untold_seconds_ = seconds_since(told);
}

/// Every rank writes its file; rank 0's table stands for all on the console.
void Trainer::write_profile() {
  for (const std::string& line : profile_->after_step(progress_.step))
    log::info("profile  {}", line);
}

/// Of the step that is next. Steps that changed nothing do not count as updates.
UpdateStep Trainer::next_update(double rate) const {
  const LossScale scale = progress_.loss_scale.value_or(LossScale{});
  return {.learning_rate = static_cast<float>(rate),
          .step = progress_.step + 1,
          .skipped = scale.skipped,
          .loss_scale = scales_loss() ? scale.scale : 1};
}

/// Gradients beyond f16 are what a scale is found by, until there is none left to take away.
void Trainer::follow_loss_scale(const StepResult& result) {
  LossScale& scale = *progress_.loss_scale;
  const float before = scale.scale;
  scale.after_step(result.non_finite == 0);
  if (result.non_finite == 0) return;
  require<NumericError>(
      scale.scale >= 1, "numeric.loss-scale",
      "step {}: gradients are not finite even with a loss scale of {}: activations or weights are "
      "beyond f16's 65504, or the model has diverged; resume with model.dtype = \"bf16\" or a "
      "lower optim.lr, from an earlier checkpoint by removing those after it",
      progress_.step + 1, before);
  log::info(
      "step {}: gradients overflow at a loss scale of {}; the step changed nothing, the next "
      "has {}",
      progress_.step + 1, before, scale.scale);
}

void Trainer::check_finite(const StepResult& result) {
  if (scales_loss()) return follow_loss_scale(result);
  if (result.non_finite == 0) {
    bad_steps_ = 0;
    return;
  }
  ++bad_steps_;
  const std::string what =
      result.first_bad_rank < 0
          ? fmt::format("step {}: the sum of the gradients' squares overflows", progress_.step + 1)
          : fmt::format("step {}: {} gradient values are not finite, first in bucket {} of rank {}",
                        progress_.step + 1, result.non_finite, result.first_bad_bucket,
                        result.first_bad_rank);
  require<NumericError>(
      bad_steps_ < max_bad_steps, "numeric.gradient",
      "{}; {} such steps in a row: resume with a lower optim.lr, from an earlier checkpoint by "
      "removing those after it, or check the data",
      what, bad_steps_);
  log::write(comm_.rank() == 0 ? log::Level::warn : log::Level::info,
             fmt::format("{}; the step changed nothing, {} of {} allowed in a row", what,
                         bad_steps_, max_bad_steps - 1));
}

/// Before anything wrong is saved, and now and then.
void Trainer::check_replicas_now() {
  check_replicas(comm_, device_.stream(), train_.params(), progress_.step);
}

void Trainer::evaluate_now() {
  if (!data_.validation) return;
  comm_.recorder().enter(Phase::evaluate, progress_.step);
  const Evaluation result =
      evaluate(device_, comm_, train_.decoder(), *data_.validation,
               {leaf_shape_, settings_.train.eval_tokens, train_.recording_of(leaf_shape_)});
  const std::optional<double> best = progress_.best_loss;
  const bool better = !best || result.loss < *best;
  progress_.evaluations_without_gain = better ? 0 : progress_.evaluations_without_gain + 1;
  if (better) progress_.best_loss = result.loss;
  out_of_patience_ = settings_.train.patience > 0 &&
                     progress_.evaluations_without_gain >= settings_.train.patience;
  if (metrics_) metrics_->write(progress_.step, result);
  console_.evaluation(progress_.step, result, best);
}

void Trainer::sample_now() {
  comm_.recorder().enter(Phase::sample, progress_.step);
  agree(comm_, "sampling", [&] {
    if (comm_.rank() != 0 || !data_.tokenizer) return;
    std::vector<std::uint32_t> prompt = data_.tokenizer->encode(settings_.train.sample_prompt);
    if (prompt.empty()) prompt.push_back(data_.tokenizer->end_of_text().value_or(0));
    StreamDecoder text(*data_.tokenizer);
    std::string sample = settings_.train.sample_prompt;
    generate(device_, train_.decoder(), prompt,
             {.seed = settings_.train.seed, .max_tokens = settings_.train.sample_tokens},
             [&](std::uint32_t token) {
               sample += text.push(token);
               comm_.recorder().renew();
               return true;
             });
    console_.sample(progress_.step, sample + text.finish());
  });
}

/// What a later checkpoint holds makes up for one that is missing; to end the run would lose all
/// since the last.
void Trainer::try_to_save() {
  try {
    save_now();
  } catch (const IoError& error) {
    if (comm_.rank() != 0) return;
    log::warn("step {}: {}\nthe run goes on; {}, and the next is due at step {}", progress_.step,
              error.what(),
              saved_at_ ? fmt::format("the newest checkpoint is that of step {}", *saved_at_)
                        : "there is no checkpoint yet",
              progress_.step + settings_.train.save_every);
  }
}

void Trainer::save_now() {
  const auto started = Clock::now();
  comm_.recorder().enter(Phase::save, progress_.step);
  check_replicas_now();
  const CheckpointState state{.progress = progress_,
                              .model = start_.model,
                              .optimizer = settings_.optim.name,
                              .device = device_key(device_.info()),
                              .products = products_};
  const io::Path path = save_checkpoint(train_, run_.checkpoints(),
                                        {state, to_toml(settings_), data_.tokenizer_file});
  saved_at_ = progress_.step;
  agree(comm_, "removing old checkpoints", [&] {
    if (comm_.rank() != 0) return;
    prune_checkpoints(run_.checkpoints(), settings_.train.keep);
    console_.saved(progress_.step, checkpoint_bytes(path), seconds_since(started), path.string());
  });
}

}  // namespace motley
