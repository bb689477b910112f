#include "train/gradient_reducer.h"

#include <algorithm>

#include "kernels/ops.h"
#include "tensor/error.h"

namespace motley {

void GradientReducer::begin_step(const LeafDeal& deal) {
  began_ = Clock::now();
  leaf_wait_ = 0;
  const auto me = static_cast<std::size_t>(comm_.rank());
  leaves_ = LeafStack(deal.rounds.front()[me], deal.num_leaves);
  last_adds_.clear();
  const std::vector<Contributions> rounds = contributions(deal);
  rounds_.clear();
  leaf_ = 0;
  num_own_leaves_ = deal.leaves(comm_.rank()).size();
  std::vector<bool> publishes;  // by round
  std::size_t num_nodes = 0;    // the most in a round
  for (const Contributions& round : rounds) {
    ++num_rounds_;
    if (!round.nodes[me].empty()) rounds_.push_back(num_rounds_);
    publishes.push_back(!round.nodes[me].empty() || dealing() == Dealing::once);
    num_nodes = std::max(num_nodes, round.nodes[me].size());
  }
  reserve(deal, rounds);
  num_kept_at_end_ = num_nodes == 0 ? 0 : num_nodes - 1;
  if (carrier_) carrier_->begin_step(num_nodes);
  Stream& s = device_.stream();
  if (dealing() == Dealing::once) {
    for (Tensor& gradient : rows_.slots[0]) s.fill(gradient);
  }
  s.fill(bad_counts_);
  ready_.assign(num_buckets(), std::nullopt);
  is_ready_.assign(num_buckets(), false);
  if (!exchange_) return;
  if (num_own_leaves_ == 0) {
    const Event zeroed = s.mark();
    for (std::size_t bucket = 0; bucket < num_buckets(); ++bucket) announce(bucket, zeroed);
  }
  // The parameters of the step before may still be on their way; this comes after them.
  reducing_ = comm_.post([this, rounds, publishes] {
    exchange_->plan_step(rounds);
    reduce_all(publishes);
  });
}

void GradientReducer::prepare_stage(std::size_t stage) {
  if (dealing() == Dealing::once) return;
  if (stage == 0) is_ready_.assign(num_buckets(), false);
  for (std::size_t block = 0; block < rows_.layout.blocks.size(); ++block) {
    if (rows_.regions.begins_at[block] != stage) continue;
    wait_until_free(block);
    device_.stream().fill(rows_.slots[0][block]);
  }
}

/// Until all ranks of this host are done with what lay in the block's place. The exchange goes on
/// meanwhile. When it has failed, that is thrown here. As long as the device has work this rank is
/// computing; from then on it waits, and says so: who still computes then holds up the others.
void GradientReducer::wait_until_free(std::size_t block) {
  const GradientRegions::Before& before = rows_.regions.before[block];
  std::size_t bucket = num_buckets() - 1;  // the last of that block
  while (rows_.layout.buckets[bucket].block != before.block) --bucket;
  const std::uint64_t round = rounds_.at(leaf_) - before.rounds;
  if (exchange_->is_released(bucket, round)) return;
  FlightRecorder& recorder = comm_.recorder();
  const std::uint64_t step = recorder.status().step;
  const Event worked = device_.stream().mark();
  std::optional<Clock::time_point> idle;  // since when
  Backoff backoff(Backoff::For::device);
  while (!exchange_->is_released(bucket, round)) {
    if (reducing_.wait_for(std::chrono::seconds(0)) == std::future_status::ready) reducing_.get();
    if (!idle && worked.is_done()) {
      idle = Clock::now();
      recorder.enter(Phase::reduce, step);
    }
    backoff.pause();
  }
  if (!idle) return;
  recorder.enter(Phase::compute, step);
  const double waited = seconds_since(*idle);
  exposed_ += waited;
  leaf_wait_ += waited;
}

bool GradientReducer::is_exchanged() const {
  return dealing() == Dealing::rounds || leaf_ + 1 == num_own_leaves_;
}

void GradientReducer::end_leaf() {
  const bool is_kept = !is_exchanged() && options_.exact;
  ++leaf_;
  if (!is_kept) return;
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
  announce(bucket, s.mark());  // which may take long: some devices work while they are asked to
}

void GradientReducer::announce(std::size_t bucket, const Event& ready) {
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
  exposed_ += seconds_since(computed_);
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
  const double waited = seconds_since(began);
  exposed_ += waited;
  leaf_wait_ += waited;
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
    times.compute = std::chrono::duration<double>(computed_ - began_).count() - leaf_wait_;
  return times;
}

}  // namespace motley
