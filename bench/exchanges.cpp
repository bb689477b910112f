#include "bench/exchanges.h"

#include <algorithm>

#include "dist/leaf_plan.h"
#include "dist/tree_sum.h"
#include "tensor/checked.h"
#include "tensor/clock.h"

namespace motley::bench {
namespace {

ParamLayout layout_of(std::size_t size) {
  ParamLayout layout;
  layout.size = size;
  for (const Range& range : buckets_of(size)) {
    layout.buckets.push_back({layout.blocks.size(), range.begin, range.end, 0, 0});
    layout.blocks.push_back({range.begin, range.end});
  }
  return layout;
}

LeafPlan plan_of(Split split, const std::vector<int>& order) {
  if (split == Split::aligned) return even_plan(order.size(), order);
  std::vector<std::size_t> counts(order.size(), 8);
  counts[static_cast<std::size_t>(order.front())] -= 2;
  counts[static_cast<std::size_t>(order.back())] += 2;
  return plan_of_counts(counts, order);
}

}  // namespace

std::vector<Range> buckets_of(std::size_t size) {
  constexpr std::size_t mib = (std::size_t{1} << 20) / sizeof(float);
  const std::size_t limit = std::clamp(size / 12, 4 * mib, 32 * mib);
  std::vector<Range> buckets = {{0, std::min(size, mib)}};
  while (buckets.back().end < size) {
    const std::size_t begin = buckets.back().end;
    buckets.push_back({begin, std::min(size, begin + limit)});
  }
  return buckets;
}

HostExchange::HostExchange(Communicator& comm, std::size_t size, const ExchangeOptions& options,
                           Split split)
    : comm_(comm), exchange_(comm, size, buckets_of(size), options), adder_(exchange_) {
  const LeafPlan plan = plan_of(split, exchange_.topology().order());
  round_.num_leaves = plan.num_leaves();
  for (const Range& range : plan.ranges)
    round_.nodes.push_back(maximal_nodes(range, round_.num_leaves));
}

void HostExchange::reduce() {
  const std::size_t num_buckets = exchange_.num_buckets();
  Exchange::pipeline(
      num_buckets, [&](std::size_t bucket) { exchange_.start_reduce(bucket, adder_); },
      [&](std::size_t bucket) { exchange_.finish_reduce(bucket); });
}

void HostExchange::gather() {
  const auto take = [&](const Range& part, std::span<const std::byte> values) {
    std::byte* const to = exchange_.values(exchange_.my_peer(), part).data();
    if (to != values.data()) std::copy(values.begin(), values.end(), to);
  };
  const std::size_t num_buckets = exchange_.num_buckets();
  const auto at = [&](std::size_t i) { return num_buckets - 1 - i; };
  Exchange::pipeline(
      num_buckets, [&](std::size_t i) { exchange_.start_gather(at(i)); },
      [&](std::size_t i) { exchange_.finish_gather(at(i), take); });
}

void HostExchange::reserve() {
  exchange_.reserve(exchange_.room_for(std::span(&round_, 1)));
}

void HostExchange::run(std::size_t times) {
  reserve();
  comm_.run([&] {
    for (std::size_t i = 0; i < times; ++i) {
      exchange_.plan_step(std::span(&round_, 1));
      exchange_.begin_round();
      const auto start = Clock::now();
      reduce();
      reduce_seconds_ += seconds_since(start);
      const auto reduced = Clock::now();
      gather();
      gather_seconds_ += seconds_since(reduced);
    }
  });
}

void HostExchange::check() {
  // What a sum over leaves comes to when each of a rank's nodes is its number plus one.
  float expected = 0;
  for (std::size_t rank = 0; rank < round_.nodes.size(); ++rank)
    expected += static_cast<float>((rank + 1) * round_.nodes[rank].size());
  const auto mine = static_cast<float>(comm_.rank() + 1);
  std::size_t num_wrong = 0;
  reserve();
  exchange_.plan_step(std::span(&round_, 1));
  exchange_.begin_round();
  for (std::size_t slot = 0; slot < round_.nodes[static_cast<std::size_t>(comm_.rank())].size();
       ++slot) {
    const std::span<float> gradient = exchange_.gradients({exchange_.my_peer(), slot});
    std::fill(gradient.begin(), gradient.end(), mine);
  }
  comm_.barrier();
  comm_.run([&] { reduce(); });
  const std::span<std::byte> bytes = exchange_.values(exchange_.my_peer());
  const std::span<float> values(reinterpret_cast<float*>(bytes.data()),
                                bytes.size() / sizeof(float));
  for (std::size_t bucket = 0; bucket < exchange_.num_buckets(); ++bucket) {
    const Range own = exchange_.owned(bucket);
    std::copy_n(exchange_.sums(bucket).begin(), own.size(),
                values.begin() + static_cast<std::ptrdiff_t>(own.begin));
  }
  comm_.run([&] { gather(); });
  for (const float value : values) num_wrong += value == expected ? 0u : 1u;
  require<CommError>(num_wrong == 0, "bench.sum", "{}: {} of {} sums are wrong", comm_.name(),
                     num_wrong, values.size());
  comm_.barrier();
}

DeviceExchange::DeviceExchange(Device& device, Communicator& comm, std::size_t size,
                               const ExchangeOptions& options)
    : device_(device), comm_(comm), reducer_(device, comm, layout_of(size), {options}) {}

void DeviceExchange::run(std::size_t times) {
  const std::vector<int>& order = reducer_.rank_order();
  const LeafDeal deal = deal_leaves(even_plan(order.size(), order), order, reducer_.dealing());
  seconds_ = 0;
  for (std::size_t i = 0; i < times; ++i) {
    comm_.barrier();
    reducer_.begin_step(deal);  // from here on the communication thread waits for buckets
    device_.stream().finish();
    const auto start = Clock::now();
    for (std::size_t bucket = 0; bucket < reducer_.num_buckets(); ++bucket)
      reducer_.on_bucket_ready(bucket);
    device_.stream().flush();
    reducer_.finish_reduce();
    reducer_.start_gather();
    reducer_.wait_for_all();
    seconds_ += seconds_since(start) / static_cast<double>(times);
  }
}

MemoryWork::MemoryWork(std::size_t size, std::size_t num_ranks)
    : sum_(size, 1), other_(size, 1), num_(size - size / num_ranks) {}

void MemoryWork::run(std::size_t times) {
  for (std::size_t i = 0; i < times; ++i) {
    add_to(std::span(sum_).first(num_), std::span<const float>(other_).first(num_));
    std::copy_n(other_.begin(), num_, sum_.begin());
  }
}

double MemoryWork::bytes() const {
  constexpr double accesses = 3 + 2;  // an addition reads two and writes one; a copy reads, writes
  return accesses * sizeof(float) * static_cast<double>(num_);
}

}  // namespace motley::bench
