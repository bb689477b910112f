#include "train/train_step.h"

#include <algorithm>
#include <cstring>

#include "dist/agree.h"
#include "kernels/ops.h"
#include "tensor/checked.h"
#include "tensor/clock.h"

namespace motley {
namespace {

std::vector<Range> owned_ranges(const GradientReducer& reducer) {
  std::vector<Range> owned;
  for (std::size_t i = 0; i < reducer.num_buckets(); ++i) owned.push_back(reducer.owned(i));
  return owned;
}

std::size_t num_chunks(const Range& range) {
  return ceil_div(range.size(), op::squares_chunk);
}

/// Takes a value out of the front of some bytes.
template <class T>
void take(std::span<const std::byte>& bytes, std::span<T> values) {
  std::memcpy(values.data(), bytes.data(), values.size_bytes());
  bytes = bytes.subspan(values.size_bytes());
}

template <class T>
void append(std::vector<std::byte>& bytes, std::span<const T> values) {
  const auto more = std::as_bytes(values);
  bytes.insert(bytes.end(), more.begin(), more.end());
}

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

DeviceBatch upload(Device& device, const Batch& batch) {
  return upload_batch(device, batch.num_sequences, batch.sequence_length, batch.tokens,
                      batch.targets, batch.index);
}

TrainStep::TrainStep(Device& device, Communicator& comm, const ModelConfig& config,
                     const DecoderOptions& decoder, const OptimSettings& settings,
                     const ReducerOptions& reducer)
    : device_(device),
      comm_(comm),
      settings_(settings),
      reducer_(device, comm, param_layout(config), reducer),
      params_(device, config, reducer_.memory()),
      decoder_(device, config, params_, decoder),
      optimizer_(device, params_, owned_ranges(reducer_), settings),
      num_chunks_(params_.layout().size / op::squares_chunk),
      owned_sums_(device.zeros({2 * num_owned_chunks(static_cast<std::size_t>(comm.rank()))})),
      all_sums_(device.zeros({2 * num_chunks_})),
      totals_(device.zeros({2})),
      control_(device.zeros({3})) {}

ParamStore& TrainStep::params() {
  reducer_.wait_for_all();
  return params_;
}

Decoder& TrainStep::decoder() {
  reducer_.wait_for_all();
  return decoder_;
}

StepResult TrainStep::run(const LeafPlan& plan, const MakeLeaf& make_leaf, const UpdateStep& update,
                          const std::function<StepWord()>& word) {
  Stream& s = device_.stream();
  FlightRecorder& recorder = comm_.recorder();
  recorder.enter(Phase::compute, update.step);
  const LeafDeal deal = this->deal(plan);
  reducer_.begin_step(deal);
  Report report = accumulate_gradients(deal.leaves(comm_.rank()), make_leaf);
  if (word) report.word = word();
  const Told told = tell_all(deal, report);
  if (std::any_of(told.reports.begin(), told.reports.end(),
                  [](const Report& rank) { return !rank.has_data; })) {
    agree_on(comm_, "reading the data", failure_);
  }
  StepResult result = combine(deal, told);
  recorder.enter(Phase::update, update.step);
  on_all([&] {
    require<DataError>(result.tokens > 0, "data.no-targets",
                       "a step has no token to predict; check the data set");
  });
  Tensor squares = totals_.slice(0, 1);
  Tensor counts = totals_.slice(1, 2);
  op::sum(s, squares, all_sums_.slice(0, num_chunks_), op::Into::replace);
  op::sum(s, counts, all_sums_.slice(num_chunks_, 2 * num_chunks_), op::Into::replace);
  op::clip_factor(s, control_, totals_.reshape({1, 2}), static_cast<float>(settings_.clip),
                  static_cast<double>(result.tokens));
  for (std::size_t i = params_.buckets().size(); i-- > 0;) {
    if (!reducer_.owned(i).empty())
      optimizer_.update(s, i, reducer_.owned_gradients(i), control_, update);
  }
  reducer_.start_gather();
  std::vector<float> control(3);
  s.read<float>(control, control_);
  result.factor = control[0];
  result.gradient_norm = control[1];
  // Finite gradients whose squares overflow stop the update too; what stops it must be told.
  if (control[2] > 0 && result.non_finite == 0)
    result.non_finite = static_cast<std::uint64_t>(control[2]);
  return result;
}

TrainStep::Report TrainStep::accumulate_gradients(const std::vector<std::size_t>& leaves,
                                                  const MakeLeaf& make_leaf) {
  Stream& s = device_.stream();
  const auto began = Clock::now();
  bool is_last = false;
  const auto ready = [&](std::size_t bucket) {
    if (hooks_.on_gradients && is_last) hooks_.on_gradients(bucket);
    reducer_.on_bucket_ready(bucket);
  };
  const auto begins = [this](std::size_t stage) { reducer_.prepare_stage(stage); };
  const auto needed = [this](std::size_t stage) { reducer_.wait_for_stage(stage); };
  if (losses_.size() < leaves.size()) losses_ = device_.tensor({leaves.size()});
  Report report;
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    const Batch batch = read(make_leaf, leaves[i], report);
    if (hooks_.before_leaf) hooks_.before_leaf();
    const DeviceBatch on_device = upload(device_, batch);
    report.tokens += batch.num_targets;
    Tensor loss = losses_.slice(i, i + 1);
    s.fill(loss);
    is_last = i + 1 == leaves.size();
    decoder_.forward(s, on_device, needed);
    decoder_.backward(s, on_device, loss, reducer_.is_exchanged() ? OnBucketReady(ready) : nullptr,
                      begins);
    reducer_.end_leaf();
    s.flush();
    if (hooks_.after_leaf) hooks_.after_leaf();
  }
  reducer_.finish_reduce();
  const GradientReducer::NonFinite bad = reducer_.count_non_finite();
  report.non_finite = bad.count;
  report.first_bad_bucket = bad.first_bucket;
  const GradientReducer::Times times = reducer_.take_times();
  report.times.exposed = times.exposed;
  report.times.compute = times.compute - report.times.io;
  if (comm_.size() == 1) {
    s.finish();
    report.times.compute = seconds_since(began) - report.times.io;
  }
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

std::size_t TrainStep::num_owned_chunks(std::size_t rank) const {
  std::size_t chunks = 0;
  for (std::size_t i = 0; i < reducer_.num_buckets(); ++i)
    chunks += num_chunks(reducer_.shards(i)[rank]);
  return chunks;
}

/// Of the chunks this rank owns: squares, then counts of what is not finite.
std::vector<float> TrainStep::sum_owned_squares() {
  Stream& s = device_.stream();
  const std::size_t chunks = owned_sums_.size() / 2;
  std::size_t at = 0;
  for (std::size_t i = 0; i < reducer_.num_buckets(); ++i) {
    const Range owned = reducer_.owned(i);
    if (owned.empty()) continue;
    const std::size_t end = at + num_chunks(owned);
    Tensor squares = owned_sums_.slice(at, end);
    Tensor counts = owned_sums_.slice(chunks + at, chunks + end);
    op::chunk_squares(s, squares, counts, reducer_.owned_gradients(i));
    at = end;
  }
  std::vector<float> sums(2 * chunks);
  s.read<float>(sums, owned_sums_);
  return sums;
}

TrainStep::Told TrainStep::tell_all(const LeafDeal& deal, const Report& mine) {
  std::vector<std::vector<std::size_t>> leaves;  // by rank
  leaves.reserve(static_cast<std::size_t>(comm_.size()));
  for (int rank = 0; rank < comm_.size(); ++rank) leaves.push_back(deal.leaves(rank));
  const std::vector<float> sums = sum_owned_squares();
  const auto me = static_cast<std::size_t>(comm_.rank());
  std::vector<float> losses(leaves[me].size());
  if (!losses.empty()) device_.stream().read<float>(losses, losses_.slice(0, losses.size()));
  std::vector<std::byte> bytes;
  append(bytes, std::span(&mine, 1));
  append(bytes, std::span<const float>(losses));
  append(bytes, std::span<const float>(sums));
  std::vector<Range> shards;
  std::size_t end = 0;
  for (std::size_t rank = 0; rank < leaves.size(); ++rank) {
    const std::size_t begin = end;
    end += sizeof(Report) + (leaves[rank].size() + 2 * num_owned_chunks(rank)) * sizeof(float);
    shards.push_back({begin, end});
  }
  std::vector<std::byte> all(end);
  std::copy(bytes.begin(), bytes.end(),
            all.begin() + static_cast<std::ptrdiff_t>(shards[me].begin));
  comm_.all_gather_shards(std::span(all), shards);

  Told told{.reports = std::vector<Report>(shards.size()),
            .loss = 0,
            .squares = std::vector<float>(num_chunks_),
            .counts = std::vector<float>(num_chunks_)};
  std::vector<float> leaf_losses(deal.num_leaves);
  for (std::size_t rank = 0; rank < shards.size(); ++rank) {
    std::span<const std::byte> rest =
        std::span<const std::byte>(all).subspan(shards[rank].begin, shards[rank].size());
    take(rest, std::span(&told.reports[rank], 1));
    for (const std::size_t leaf : leaves[rank]) take(rest, std::span(&leaf_losses[leaf], 1));
    std::vector<float> chunks(2 * num_owned_chunks(rank));
    take(rest, std::span(chunks));
    place_chunks(told, rank, chunks);
  }
  for (const float loss : leaf_losses) told.loss += loss;
  return told;
}

/// Puts the sums of the chunks that a rank owns where they stand among all.
void TrainStep::place_chunks(Told& told, std::size_t rank, std::span<const float> sums) const {
  const std::size_t half = sums.size() / 2;
  std::size_t at = 0;
  for (std::size_t i = 0; i < reducer_.num_buckets(); ++i) {
    const Range& shard = reducer_.shards(i)[rank];
    const std::size_t first = shard.begin / op::squares_chunk;
    for (std::size_t chunk = 0; chunk < num_chunks(shard); ++chunk, ++at) {
      told.squares[first + chunk] = sums[at];
      told.counts[first + chunk] = sums[half + at];
    }
  }
}

StepResult TrainStep::combine(const LeafDeal& deal, const Told& told) {
  StepResult result;
  double slowest = 0;
  for (const Report& report : told.reports) slowest = std::max(slowest, report.times.compute);
  for (std::size_t rank = 0; rank < told.reports.size(); ++rank) {
    const Report& report = told.reports[rank];
    result.tokens += report.tokens;
    result.signal = std::max(result.signal, report.word.signal);
    if (report.non_finite > 0 && result.first_bad_rank < 0) {
      result.first_bad_rank = static_cast<int>(rank);
      result.first_bad_bucket = static_cast<int>(report.first_bad_bucket);
    }
    RankStep step{.leaves = deal.leaves(static_cast<int>(rank)).size(), .times = report.times};
    step.times.wait = std::min(report.times.exposed, slowest - report.times.compute);
    step.times.exposed -= step.times.wait;
    result.ranks.push_back(step);
  }
  for (std::size_t i = 0; i < reducer_.num_buckets(); ++i) {
    const ParamLayout::Bucket& bucket = params_.layout().buckets[i];
    for (std::size_t chunk = bucket.begin / op::squares_chunk;
         chunk < bucket.end / op::squares_chunk; ++chunk) {
      const float count = told.counts[chunk];
      if (count > 0 && result.first_bad_bucket < 0) {
        result.first_bad_bucket = static_cast<int>(i);
        result.first_bad_rank = std::max(result.first_bad_rank, 0);
      }
      result.non_finite += static_cast<std::uint64_t>(count);
    }
  }
  result.seconds = told.reports[0].word.seconds;
  result.loss = told.loss / static_cast<double>(std::max<std::uint64_t>(result.tokens, 1));
  std::vector<float> sums = told.squares;
  sums.insert(sums.end(), told.counts.begin(), told.counts.end());
  device_.stream().write<float>(all_sums_, sums);
  return result;
}

void TrainStep::initialize(std::uint64_t seed) {
  params_.initialize(device_.stream(), seed);
  broadcast_parameters();
}

void TrainStep::broadcast_parameters() {
  if (comm_.size() == 1) return;
  for (std::size_t block = 0; block < params().layout().blocks.size(); ++block) {
    const HostView<float> view =
        device_.stream().map<float>(params_.block_values(block), Access::read_write);
    comm_.broadcast(std::as_writable_bytes(view.span()), 0);
  }
}

}  // namespace motley
