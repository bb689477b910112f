#include "train/train_step.h"

#include <algorithm>
#include <bit>

#include "dist/agree.h"
#include "kernels/ops.h"
#include "tensor/checked.h"
#include "tensor/log.h"

namespace motley {
namespace {

std::vector<Range> owned_ranges(const GradientReducer& reducer) {
  std::vector<Range> owned;
  for (std::size_t i = 0; i < reducer.num_buckets(); ++i) owned.push_back(reducer.owned(i));
  return owned;
}

ReducerOptions with_values(ReducerOptions options, Dtype dtype) {
  options.exchange.values = dtype;
  return options;
}

/// What the host does while a leaf's commands are enqueued.
enum class LeafCall { stage_needed, stage_begins, bucket_ready };

/// One token without a target: the least that goes through a model.
Batch stand_in() {
  Batch batch{.num_sequences = 1,
              .sequence_length = 1,
              .tokens = {0},
              .targets = {op::ignored_target},
              .index = {},
              .num_targets = 0};
  batch.index = index_tokens(batch.tokens);
  return batch;
}

}  // namespace

TrainStep::TrainStep(Device& device, Communicator& comm, const ModelConfig& config,
                     const DecoderOptions& decoder, const OptimSettings& settings,
                     const ReducerOptions& reducer, std::uint64_t seed)
    : device_(device),
      comm_(comm),
      settings_(settings),
      reducer_(device, comm, param_layout(config),
               with_values(reducer, weight_dtype(decoder.dtype))),
      params_(device, config, reducer_.memory()),
      decoder_(device, config, params_, decoder),
      optimizer_(device, params_, owned_ranges(reducer_), settings, seed),
      num_chunks_(params_.layout().size / op::squares_chunk),
      leaf_loss_(device.zeros({1})),
      loss_scale_(decoder.dtype == Dtype::f16 ? device.zeros({1}) : Tensor()),
      owned_sums_(device.zeros({2 * num_owned_chunks(static_cast<std::size_t>(comm.rank()))})),
      all_sums_(comm.size() == 1 ? owned_sums_ : device.zeros({2 * num_chunks_})),
      totals_(device.zeros({2})),
      on_call_([this](const HostCall& call) { call_host(call); }) {
  make_room_for_losses(1);
}

TrainStep::~TrainStep() {
  try {
    if (numbers_read_) numbers_read_->wait();  // the last of them
  } catch (const DeviceError& e) {
    log::error("the update did not reach the device: {}", e.what());
  }
}

ParamStore& TrainStep::params() {
  reducer_.wait_for_all();
  return params_;
}

Decoder& TrainStep::decoder() {
  reducer_.wait_for_all();
  return decoder_;
}

StepResult TrainStep::run(const LeafPlan& plan, const MakeLeaf& make_leaf, const UpdateStep& step,
                          const std::function<StepWord()>& word) {
  Stream& s = device_.stream();
  const bool alone = comm_.size() == 1;
  FlightRecorder& recorder = comm_.recorder();
  recorder.enter(Phase::compute, step.step);
  began_ = Clock::now();
  const LeafDeal deal = this->deal(plan);
  const std::vector<std::size_t> leaves = deal.leaves(comm_.rank());
  set_loss_scale(step.loss_scale);
  reducer_.begin_step(deal);
  Report report = accumulate_gradients(leaves, make_leaf);
  if (word && !alone) report.word = word();
  sum_owned_squares();
  Told told = alone ? Told{.reports = {report}, .sums = {}} : tell_all(deal, report);
  if (std::any_of(told.reports.begin(), told.reports.end(),
                  [](const Report& rank) { return !rank.has_data; })) {
    agree_on(comm_, "reading the data", failure_);
  }
  recorder.enter(Phase::update, step.step);
  update(told, step);
  reducer_.start_gather();
  std::vector<float> outcome(op::control_size + (alone ? leaves.size() : 0));
  s.read<float>(outcome, outcome_.slice(0, outcome.size()));
  if (alone) {
    finish_alone(told, outcome);
    if (word) told.reports[0].word = word();
  }
  StepResult result = combine(deal, told);
  result.factor = outcome[0];
  result.gradient_norm = outcome[1];
  // Finite gradients whose squares overflow stop the update too; what stops it must be told.
  if (outcome[2] > 0 && result.non_finite == 0)
    result.non_finite = static_cast<std::uint64_t>(outcome[2]);
  return result;
}

TrainStep::LeafWork* TrainStep::find_leaf_work(MicroBatchShape shape) const {
  for (const auto& work : leaf_works_) {
    if (work->shape.B == shape.B && work->shape.T == shape.T) return work.get();
  }
  return nullptr;
}

TrainStep::LeafWork& TrainStep::leaf_work(MicroBatchShape shape) {
  if (LeafWork* known = find_leaf_work(shape)) return *known;
  auto work = std::make_unique<LeafWork>(device_, shape);
  record_leaf(*work);
  return *leaf_works_.emplace_back(std::move(work));
}

const Recording* TrainStep::recording_of(MicroBatchShape shape) const {
  const LeafWork* work = find_leaf_work(shape);
  return work != nullptr ? &*work->recording : nullptr;
}

void TrainStep::record_leaf(LeafWork& work) {
  Stream& s = device_.stream();
  const auto noting = [&s](LeafCall kind) {
    return [&s, kind](std::size_t index) {
      s.recorder()->add(HostCall{static_cast<int>(kind), index});
    };
  };
  work.recording.emplace(s, [&] {
    s.fill(leaf_loss_);
    decoder_.forward(s, work.batch.batch(), noting(LeafCall::stage_needed));
    decoder_.backward(s, work.batch.batch(), leaf_loss_, noting(LeafCall::bucket_ready),
                      noting(LeafCall::stage_begins), loss_scale_.empty() ? nullptr : &loss_scale_);
  });
}

void TrainStep::call_host(const HostCall& call) {
  switch (static_cast<LeafCall>(call.kind)) {
    case LeafCall::stage_needed:
      return reducer_.wait_for_stage(call.index);
    case LeafCall::stage_begins:
      return reducer_.prepare_stage(call.index);
    case LeafCall::bucket_ready:
      if (!reducer_.is_exchanged()) return;
      if (hooks_.on_gradients && is_last_leaf_) hooks_.on_gradients(call.index);
      return reducer_.on_bucket_ready(call.index);
  }
}

/// What outcome_ has is lost.
void TrainStep::make_room_for_losses(std::size_t leaves) {
  if (outcome_.size() >= op::control_size + leaves) return;
  outcome_ = device_.zeros({op::control_size + leaves});
  control_ = outcome_.slice(0, op::control_size);
  losses_ = outcome_.slice(op::control_size, outcome_.size());
  update_work_.reset();
}

TrainStep::Report TrainStep::accumulate_gradients(const std::vector<std::size_t>& leaves,
                                                  const MakeLeaf& make_leaf) {
  Stream& s = device_.stream();
  make_room_for_losses(leaves.size());
  Report report;
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    const Batch batch = read(make_leaf, leaves[i], report);
    if (hooks_.before_leaf) hooks_.before_leaf();
    report.tokens += batch.num_targets;
    LeafWork& work = leaf_work({batch.num_sequences, batch.sequence_length});
    work.batch.start_upload(s, host_batch(batch));
    is_last_leaf_ = i + 1 == leaves.size();
    work.recording->replay(on_call_);
    Tensor loss = losses_.slice(i, i + 1);
    s.copy(loss, leaf_loss_);
    reducer_.end_leaf();
    s.flush();
    if (hooks_.after_leaf) hooks_.after_leaf();
  }
  reducer_.finish_reduce();
  const GradientReducer::Times times = reducer_.take_times();
  report.times.exposed = times.exposed;
  report.times.compute = times.compute - report.times.io;
  return report;
}

/// A leaf; once one could not be read, stand-ins.
Batch TrainStep::read(const MakeLeaf& make_leaf, std::size_t leaf, Report& report) {
  if (!report.has_data) return stand_in();
  const auto asked = Clock::now();
  try {
    Batch batch = make_leaf(leaf);
    report.times.io += seconds_since(asked);
    return batch;
  } catch (const std::exception&) {
    failure_ = current_failure();
    report.has_data = false;
    return stand_in();
  }
}

/// In device memory, where recordings read it.
void TrainStep::set_loss_scale(float scale) {
  if (loss_scale_.empty() || scale == loss_scale_set_) return;
  device_.stream().fill(loss_scale_, std::bit_cast<std::uint32_t>(scale));
  loss_scale_set_ = scale;
}

/// Of the chunks this rank owns: squares, then counts of what is not finite.
void TrainStep::sum_owned_squares() {
  Stream& s = device_.stream();
  if (!squares_work_) {
    squares_work_.emplace(s, [&] {
      const std::size_t chunks = owned_sums_.size() / 2;
      std::size_t at = 0;
      for (std::size_t i = 0; i < reducer_.num_buckets(); ++i) {
        const Range owned = reducer_.owned(i);
        if (owned.empty()) continue;
        const std::size_t end = at + num_chunks_of(owned);
        Tensor squares = owned_sums_.slice(at, end);
        Tensor counts = owned_sums_.slice(chunks + at, chunks + end);
        op::chunk_squares(s, squares, counts, reducer_.owned_gradients(i));
        at = end;
      }
    });
  }
  squares_work_->replay();
}

/// Norm, clipping and this rank's part of the update, from the sums of all chunks.
void TrainStep::update(const Told& told, const UpdateStep& step) {
  Stream& s = device_.stream();
  std::uint64_t tokens = 0;
  for (const Report& report : told.reports) tokens += report.tokens;
  on_all([&] {
    require<DataError>(tokens > 0, "data.no-targets",
                       "a step has no token to predict; check the data set");
  });
  if (numbers_read_) numbers_read_->wait();
  if (!told.sums.empty()) {
    all_sums_values_ = told.sums;
    s.start_write(all_sums_, 0, std::as_bytes(std::span(all_sums_values_)));
  }
  numbers_ = optimizer_.numbers(step);
  // The scale is a power of two, so that norm and factor are those of unscaled gradients.
  numbers_.one_over_tokens =
      static_cast<float>(1.0 / static_cast<double>(tokens) / double{loss_scale()});
  numbers_read_ = s.start_write(control_.slice(op::numbers_begin, op::control_size), 0,
                                std::as_bytes(std::span(&numbers_, 1)));
  if (!update_work_) record_update();
  update_work_->replay();
}

void TrainStep::record_update() {
  Stream& s = device_.stream();
  update_work_.emplace(s, [&] {
    Tensor squares = totals_.slice(0, 1);
    Tensor counts = totals_.slice(1, 2);
    op::sum(s, squares, all_sums_.slice(0, num_chunks_), op::Into::replace);
    op::sum(s, counts, all_sums_.slice(num_chunks_, 2 * num_chunks_), op::Into::replace);
    op::clip_factor(s, control_, totals_.reshape({1, 2}), static_cast<float>(settings_.clip));
    for (std::size_t i = params_.buckets().size(); i-- > 0;) {
      if (!reducer_.owned(i).empty())
        optimizer_.update(s, i, reducer_.owned_gradients(i), control_);
    }
  });
}

void TrainStep::initialize(std::uint64_t seed) {
  Stream& s = device_.stream();
  const bool alone = comm_.size() == 1;
  const bool in_place = params().dtype() == Dtype::f32;
  for (std::size_t block = 0; block < params_.layout().blocks.size(); ++block) {
    Tensor values = params_.block_values(block);
    if (!in_place) values = device_.tensor(values.shape());
    params_.initialize_block(s, block, seed, values);
    if (alone && in_place) continue;
    const HostView<float> view = s.map<float>(values, Access::read_write);
    comm_.broadcast(std::as_writable_bytes(view.span()), 0);
    if (!in_place) set_block(block, view.span());
  }
}

void TrainStep::set_parameters(std::string_view phase, const ReadParameter& read) {
  const ParamLayout& layout = params().layout();
  for (std::size_t block = 0; block < layout.blocks.size(); ++block) {
    const std::size_t begin = layout.blocks[block].begin;
    std::vector<float> values(layout.blocks[block].end - begin);
    agree(comm_, phase, [&] {
      if (comm_.rank() != 0) return;
      for (const Param& param : params_.params()) {
        if (param.block != block) continue;
        read(param.spec, std::span(values).subspan(param.offset - begin, param.spec.shape.size()));
        comm_.recorder().renew();
      }
    });
    comm_.broadcast(std::as_writable_bytes(std::span(values)), 0);
    set_block(block, values);
  }
}

void TrainStep::set_block(std::size_t block, std::span<const float> values) {
  params_.set_block(device_.stream(), block, values);
  optimizer_.set_block(device_.stream(), block, values);
}

}  // namespace motley
