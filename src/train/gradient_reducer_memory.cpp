// The memory that GradientReducer works in.
#include <algorithm>

#include "dist/shard_plan.h"
#include "kernels/ops.h"
#include "train/gradient_reducer.h"

namespace motley {
namespace {

static_assert(owner_block % op::squares_chunk == 0, "an owner's sums of squares must be of chunks");

std::vector<Range> bucket_ranges(const ParamLayout& layout) {
  std::vector<Range> ranges;
  for (const ParamLayout::Bucket& bucket : layout.buckets)
    ranges.push_back({bucket.begin, bucket.end});
  return ranges;
}

}  // namespace

GradientReducer::GradientReducer(Device& device, Communicator& comm, ParamLayout layout,
                                 const ReducerOptions& options)
    : device_(device),
      comm_(comm),
      options_(options),
      rows_{.layout = std::move(layout), .regions = {}, .dtype = options.exchange.values},
      bad_counts_(device.zeros({num_buckets()}, Dtype::i32)),
      ready_(num_buckets()),
      is_ready_(num_buckets(), false),
      updated_(num_buckets()),
      is_gathered_(num_buckets(), true) {
  const bool shards = comm.size() > 1 && options.shard_gradients;
  rows_.regions = shards ? ring_of_gradients(rows_.layout) : whole_gradients(rows_.layout);
  if (comm.size() > 1) {
    exchange_.emplace(
        comm, rows_.layout.size, bucket_ranges(rows_.layout), options.exchange,
        GradientMemory{rows_.regions.bucket_begins(rows_.layout), rows_.regions.size(),
                       shards ? SumPlace::apart : SumPlace::in_place});
    order_ = exchange_->topology().order();
    for (std::size_t b = 0; b < num_buckets(); ++b) shards_.push_back(exchange_->shards(b));
    comm.run([&] { stream_ = std::make_unique<Stream>(device_); });
    carrier_ = make_carrier({device_, comm_, *exchange_, rows_, *stream_}, options.memory);
  } else {
    order_ = {0};
    rows_.values = make_values_row(device_, rows_);
    rows_.slots = {make_gradients_row(device_, rows_)};
    for (const Range& bucket : bucket_ranges(rows_.layout)) {
      shards_.push_back({bucket});
      rows_.sums.push_back(rows_.part(rows_.slots[0], bucket));
    }
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
                                   : make_gradients_row(device_, rows_));
  }
  return rows_.slots[index];
}

/// What each rank will have in its slots at the end of each round.
std::vector<Contributions> GradientReducer::contributions(const LeafDeal& deal) const {
  std::vector<Contributions> rounds;
  for (const LeafDeal::Round& round : deal.rounds) {
    Contributions& all = rounds.emplace_back();
    all.nodes.resize(round.size());
    std::size_t next = 0;
    for (const int rank : order_) {
      const auto r = static_cast<std::size_t>(rank);
      if (round[r].empty()) continue;
      if (options_.exact) {
        all.nodes[r] = maximal_nodes(round[r], deal.num_leaves);
      } else {
        all.nodes[r] = {Range{next, next + 1}};  // one sum a rank, as if it were a leaf
      }
      ++next;
    }
    all.num_leaves = options_.exact ? deal.num_leaves : next;
  }
  return rounds;
}

void GradientReducer::reserve(const LeafDeal& deal) {
  reserve(deal, contributions(deal));
}

void GradientReducer::reserve(const LeafDeal& deal, std::span<const Contributions> rounds) {
  if (exchange_) reserve_exchange(rounds);
  if (dealing() == Dealing::rounds || !options_.exact) return;
  const Range& leaves = deal.rounds.front()[static_cast<std::size_t>(comm_.rank())];
  slot(LeafStack(leaves, deal.num_leaves).num_slots());
}

/// Those slots that were private until now move to the exchange.
void GradientReducer::reserve_exchange(std::span<const Contributions> rounds) {
  const ExchangeRoom needed = exchange_->room_for(rounds);
  const ExchangeRoom room = exchange_->room();
  if (needed.slots <= room.slots && needed.sums <= room.sums) return;
  wait_for_all();
  if (carrier_->kind() != HostMemory::copied)
    rows_.slots.resize(std::min(rows_.slots.size(), room.slots));
  exchange_->reserve(needed);
}

std::size_t GradientReducer::bytes_beside_pool() const {
  if (dealing() == Dealing::once || carrier_->kind() != HostMemory::in_place) return 0;
  std::size_t elements = 0;
  for (const Tensor& sums : rows_.sums) elements += sums.size();
  return elements * sizeof(float) * (exchange_->room().sums - 1);
}

}  // namespace motley
