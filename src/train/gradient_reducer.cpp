#include "train/gradient_reducer.h"

#include <algorithm>

#include "dist/shard_plan.h"
#include "kernels/ops.h"
#include "tensor/error.h"

namespace motley {
namespace {

static_assert(owner_block % op::squares_chunk == 0, "an owner's sums of squares must be of chunks");

std::vector<Range> bucket_ranges(const ParamLayout& layout) {
  std::vector<Range> ranges;
  for (const ParamLayout::Bucket& bucket : layout.buckets)
    ranges.push_back({bucket.begin, bucket.end});
  return ranges;
}

std::size_t num_contributors(const LeafPlan& plan) {
  return static_cast<std::size_t>(std::count_if(plan.ranges.begin(), plan.ranges.end(),
                                                [](const Range& range) { return !range.empty(); }));
}

}  // namespace

GradientReducer::GradientReducer(Device& device, Communicator& comm, ParamLayout layout,
                                 const ReducerOptions& options)
    : device_(device),
      comm_(comm),
      options_(options),
      rows_{std::move(layout)},
      bad_counts_(device.zeros({num_buckets()}, Dtype::i32)),
      ready_(num_buckets()),
      is_ready_(num_buckets(), false),
      updated_(num_buckets()),
      is_gathered_(num_buckets(), true) {
  if (comm.size() > 1) {
    exchange_.emplace(comm, rows_.layout.size, bucket_ranges(rows_.layout), options.exchange);
    order_ = exchange_->topology().order();
    for (std::size_t b = 0; b < num_buckets(); ++b) shards_.push_back(exchange_->shards(b));
    comm.run([&] { stream_ = std::make_unique<Stream>(device_); });
    carrier_ = make_carrier({device_, comm_, *exchange_, rows_, *stream_}, options.memory);
  } else {
    order_ = {0};
    for (const Range& bucket : bucket_ranges(rows_.layout)) shards_.push_back({bucket});
    rows_.values = make_row(device_, rows_.layout);
    rows_.slots = {make_row(device_, rows_.layout)};
  }
}

GradientReducer::~GradientReducer() {
  if (reducing_.valid()) comm_.give_up();
  if (reducing_.valid()) reducing_.wait();
  if (gathering_.valid()) gathering_.wait();
}

/// A slot's memory, made on first use.
const DeviceRow& GradientReducer::slot(std::size_t index) {
  while (rows_.slots.size() <= index) {
    rows_.slots.push_back(carrier_ ? carrier_->make_slot(rows_.slots.size())
                                   : make_row(device_, rows_.layout));
  }
  return rows_.slots[index];
}

/// What each rank will have in its slots at the end of the step.
std::vector<std::vector<Range>> GradientReducer::contributions(const LeafPlan& plan) const {
  std::vector<std::vector<Range>> nodes(plan.ranges.size());
  std::size_t next = 0;
  for (const int rank : order_) {
    const auto r = static_cast<std::size_t>(rank);
    if (plan.ranges[r].empty()) continue;
    if (options_.exact) {
      nodes[r] = maximal_nodes(plan.ranges[r], num_leaves_);
    } else {
      nodes[r] = {Range{next, next + 1}};  // one sum a rank, as if it were a leaf
    }
    ++next;
  }
  return nodes;
}

void GradientReducer::begin_step(const LeafPlan& plan) {
  began_ = Clock::now();
  gather_wait_ = 0;
  num_leaves_ = plan.num_leaves();
  leaves_ = LeafStack(plan.ranges[static_cast<std::size_t>(comm_.rank())], num_leaves_);
  last_adds_.clear();
  const auto nodes = contributions(plan);
  reserve_slots(nodes);
  const auto& mine = nodes[static_cast<std::size_t>(comm_.rank())];
  num_kept_at_end_ = mine.empty() ? 0 : mine.size() - 1;
  if (carrier_) carrier_->begin_step(mine.size());
  for (Tensor& gradient : rows_.slots[0]) device_.stream().fill(gradient);
  device_.stream().fill(bad_counts_);
  ready_.assign(num_buckets(), std::nullopt);
  is_ready_.assign(num_buckets(), false);
  if (!exchange_) return;
  const std::size_t num_sums = options_.exact ? num_leaves_ : num_contributors(plan);
  // The parameters of the step before may still be on their way; this comes after them.
  reducing_ = comm_.post([this, nodes, num_sums] {
    exchange_->plan_step(nodes, num_sums);
    reduce_all();
  });
}

/// The slots of the exchange that some rank needs. Those that were private until now move there.
void GradientReducer::reserve_slots(const std::vector<std::vector<Range>>& nodes) {
  std::size_t most = 1;
  for (const std::vector<Range>& own : nodes) most = std::max(most, own.size());
  if (!exchange_ || most <= exchange_->num_slots()) return;
  wait_for_all();
  if (carrier_->kind() != HostMemory::copied)
    rows_.slots.resize(std::min(rows_.slots.size(), exchange_->num_slots()));
  exchange_->reserve_slots(most);
}

void GradientReducer::end_leaf() {
  if (!options_.exact) return;
  Stream& s = device_.stream();
  const LeafStack::Step step = leaves_.end_leaf();
  for (std::size_t block = 0; block < rows_.layout.blocks.size(); ++block) {
    Tensor gradient = slot(0)[block];
    for (const std::size_t index : step.adds) op::add(s, gradient, slot(index + 1)[block]);
    Tensor kept = slot(step.slot + 1)[block];
    if (step.is_free) {
      s.copy(kept, gradient);
    } else {
      op::add(s, kept, gradient);
    }
    s.fill(gradient);
  }
  if (leaves_.is_at_last()) last_adds_ = leaves_.last_adds();
}

void GradientReducer::on_bucket_ready(std::size_t bucket) {
  require<ShapeError>(
      bucket < num_buckets() && !is_ready_[bucket], "dist.bucket",
      "bucket {} of {} was announced twice in a step or does not exist; backward announces "
      "each bucket once",
      bucket, num_buckets());
  Stream& s = device_.stream();
  const Range range = rows_.range_of(bucket);
  Tensor sum = rows_.part(slot(0), range);
  Tensor bad = bad_counts_.slice(bucket, bucket + 1);
  std::vector<Tensor> addends;
  for (const std::size_t index : last_adds_) addends.push_back(rows_.part(slot(index + 1), range));
  Tensor* const rounded = carrier_ ? carrier_->rounded(bucket) : nullptr;
  if (exchange_ || !addends.empty()) op::pack(s, {sum, bad, rounded}, addends);
  if (!exchange_) {
    is_ready_[bucket] = true;
    return s.flush();
  }
  for (std::size_t i = 0; i < num_kept_at_end_; ++i) {
    Tensor kept = rows_.part(slot(i + 1), range);
    op::pack(s, {kept, bad}, {});
  }
  const Event ready = s.mark();  // which may take long: some devices work while they are asked to
  const std::lock_guard lock(mutex_);
  ready_[bucket] = ready;
  is_ready_[bucket] = true;
}

void GradientReducer::finish_reduce() {
  for (std::size_t i = 0; i < num_buckets(); ++i) {
    require<ShapeError>(is_ready_[i], "dist.bucket",
                        "bucket {} of {} was not announced before the end of the step", i,
                        num_buckets());
  }
  if (!exchange_) return;
  // Not when the communication thread sees the last bucket: it waits for other ranks in between.
  device_.stream().finish();
  computed_ = Clock::now();
  comm_.recorder().enter(Phase::reduce, comm_.recorder().status().step);
  reducing_.get();
  exposed_ += std::chrono::duration<double>(Clock::now() - computed_).count();
}

void GradientReducer::start_gather() {
  if (!exchange_) return;
  const Event updated = device_.stream().mark();
  updated_.assign(num_buckets(), updated);
  is_gathered_.assign(num_buckets(), false);
  gathering_ = comm_.post([this] {
    try {
      gather_all();
    } catch (...) {
      const std::lock_guard lock(mutex_);
      gather_failed_ = true;
      changed_.notify_all();
      throw;
    }
  });
  if (!options_.overlap) wait_for_all();
}

template <class Ready>
void GradientReducer::wait_gathered(Ready ready) {
  if (!gathering_.valid()) return;
  const auto began = Clock::now();
  bool failed = false;
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return gather_failed_ || ready(); });
    failed = gather_failed_;
  }
  const double waited = std::chrono::duration<double>(Clock::now() - began).count();
  exposed_ += waited;
  gather_wait_ += waited;
  if (failed) gathering_.get();
}

void GradientReducer::wait_for_stage(std::size_t stage) {
  wait_gathered([&] {
    for (std::size_t i = 0; i < num_buckets(); ++i) {
      const ParamLayout::Bucket& bucket = rows_.layout.buckets[i];
      if (bucket.first_stage <= stage && stage <= bucket.last_stage && !is_gathered_[i])
        return false;
    }
    return true;
  });
}

void GradientReducer::wait_for_all() {
  wait_gathered([&] {
    return std::find(is_gathered_.begin(), is_gathered_.end(), false) == is_gathered_.end();
  });
  if (gathering_.valid()) gathering_.get();
}

GradientReducer::NonFinite GradientReducer::count_non_finite() {
  NonFinite found;
  if (!exchange_) return found;
  std::vector<std::int32_t> counts(num_buckets());
  device_.stream().read<std::int32_t>(counts, bad_counts_);
  for (std::size_t i = 0; i < num_buckets(); ++i) {
    if (counts[i] > 0 && found.first_bucket < 0) found.first_bucket = static_cast<int>(i);
    found.count += static_cast<std::uint64_t>(counts[i]);
  }
  return found;
}

GradientReducer::Times GradientReducer::take_times() {
  Times times;
  times.exposed = std::exchange(exposed_, 0);
  if (exchange_)
    times.compute = std::chrono::duration<double>(computed_ - began_).count() - gather_wait_;
  return times;
}

}  // namespace motley
