#include "train/gradient_reducer.h"

#include <algorithm>

#include "dist/host_adder.h"
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

/// Adds with kernels, over the memory that the ranks of a host share.
class GradientReducer::KernelAdder final : public Adder {
 public:
  explicit KernelAdder(GradientReducer& reducer) : reducer_(reducer) {}
  void add(const Range& part, Place into, Place from) override {
    Tensor sum = reducer_.part_of(blocks(into), part);
    op::add(*reducer_.stream_, sum, reducer_.part_of(blocks(from), part));
  }
  void finish() override { reducer_.stream_->finish(); }

 private:
  const std::vector<Tensor>& blocks(Place place) {
    const Exchange& exchange = *reducer_.exchange_;
    if (place.peer == exchange.my_peer())
      return place.slot == 0 ? reducer_.gradients_ : reducer_.slots_.at(place.slot - 1);
    const std::size_t index = place.slot * exchange.num_peers() + place.peer;
    if (peers_.size() <= index) peers_.resize(index + 1);
    if (peers_[index].empty())
      peers_[index] = reducer_.wrap_blocks(exchange.gradients(place), exchange.memory(place));
    return peers_[index];
  }

  GradientReducer& reducer_;
  std::vector<std::vector<Tensor>> peers_;
};

GradientReducer::GradientReducer(Device& device, Communicator& comm, ParamLayout layout,
                                 const ReducerOptions& options)
    : device_(device),
      comm_(comm),
      layout_(std::move(layout)),
      options_(options),
      bad_counts_(device.zeros({layout_.buckets.size()}, Dtype::i32)),
      ready_(layout_.buckets.size()),
      is_ready_(layout_.buckets.size(), false),
      updated_(layout_.buckets.size()),
      is_gathered_(layout_.buckets.size(), true) {
  if (comm.size() > 1) {
    exchange_.emplace(comm, layout_.size, bucket_ranges(layout_), options.exchange);
    order_ = exchange_->topology().order();
    for (std::size_t b = 0; b < num_buckets(); ++b) shards_.push_back(exchange_->shards(b));
    comm.run([&] { stream_ = std::make_unique<Stream>(device_); });
  } else {
    order_ = {0};
    for (const Range& bucket : bucket_ranges(layout_)) shards_.push_back({bucket});
  }
  make_memory(options.zero_copy && device.info().kind == DeviceKind::cpu);
}

GradientReducer::~GradientReducer() {
  if (reducing_.valid()) comm_.give_up();
  if (reducing_.valid()) reducing_.wait();
  if (gathering_.valid()) gathering_.wait();
}

void GradientReducer::make_memory(bool zero_copy) {
  is_shared_ = zero_copy && exchange_.has_value();
  if (is_shared_) {
    const Place own{exchange_->my_peer(), 0};
    values_ = wrap_blocks(exchange_->values(own.peer), exchange_->memory(own));
    gradients_ = wrap_blocks(exchange_->gradients(own), exchange_->memory(own));
    adder_ = std::make_unique<KernelAdder>(*this);
    return;
  }
  for (const ParamLayout::Block& block : layout_.blocks) {
    values_.push_back(device_.tensor({block.end - block.begin}));
    gradients_.push_back(device_.tensor({block.end - block.begin}));
  }
  if (exchange_) adder_ = std::make_unique<HostAdder>(*exchange_);
}

std::vector<Tensor> GradientReducer::wrap_blocks(std::span<float> memory,
                                                 const std::shared_ptr<const void>& owner) {
  std::vector<Tensor> tensors;
  for (const ParamLayout::Block& block : layout_.blocks)
    tensors.push_back(device_.wrap(part_of(memory, {block.begin, block.end}), owner));
  return tensors;
}

/// Elements `range`, which lie in one block, as a view.
Tensor GradientReducer::part_of(const std::vector<Tensor>& blocks, const Range& range) const {
  std::size_t block = 0;
  while (layout_.blocks[block].end < range.end) ++block;
  const std::size_t begin = layout_.blocks[block].begin;
  return blocks[block].slice(range.begin - begin, range.end - begin);
}

/// The memory for the node that is the index-th one put aside. What goes to the exchange lies in
/// its memory where the device can work there; made on first use.
std::vector<Tensor>& GradientReducer::slot(std::size_t index) {
  while (slots_.size() <= index) {
    const std::size_t peer = exchange_ ? exchange_->my_peer() : std::size_t{0};
    const Place place{peer, slots_.size() + 1};
    if (is_shared_ && place.slot < exchange_->num_slots()) {
      slots_.push_back(wrap_blocks(exchange_->gradients(place), exchange_->memory(place)));
      continue;
    }
    slots_.emplace_back();
    for (const Tensor& gradient : gradients_)
      slots_.back().push_back(device_.tensor(gradient.shape()));
  }
  return slots_[index];
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
  for (Tensor& gradient : gradients_) device_.stream().fill(gradient);
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
  if (is_shared_) slots_.resize(std::min(slots_.size(), exchange_->num_slots() - 1));
  exchange_->reserve_slots(most);
}

void GradientReducer::end_leaf() {
  if (!options_.exact) return;
  Stream& s = device_.stream();
  const LeafStack::Step step = leaves_.end_leaf();
  for (const std::size_t index : step.adds) {
    for (std::size_t block = 0; block < gradients_.size(); ++block)
      op::add(s, gradients_[block], slot(index)[block]);
  }
  std::vector<Tensor>& kept = slot(step.slot);
  for (std::size_t block = 0; block < gradients_.size(); ++block) {
    if (step.is_free) {
      s.copy(kept[block], gradients_[block]);
    } else {
      op::add(s, kept[block], gradients_[block]);
    }
    s.fill(gradients_[block]);
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
  const Range range{layout_.buckets[bucket].begin, layout_.buckets[bucket].end};
  Tensor sum = part_of(gradients_, range);
  Tensor bad = bad_counts_.slice(bucket, bucket + 1);
  std::vector<Tensor> addends;
  for (const std::size_t index : last_adds_) addends.push_back(part_of(slot(index), range));
  if (exchange_ || !addends.empty()) op::pack(s, {sum, bad}, addends);
  if (!exchange_) {
    is_ready_[bucket] = true;
    return s.flush();
  }
  for (std::size_t i = 0; i < num_kept_at_end_; ++i) {
    Tensor kept = part_of(slot(i), range);
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
      const ParamLayout::Bucket& bucket = layout_.buckets[i];
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
