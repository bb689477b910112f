#include "dist/exchange.h"

#include <algorithm>
#include <atomic>

#include "dist/recorded.h"
#include "dist/shard_plan.h"
#include "tensor/checked.h"
#include "tensor/log.h"

namespace motley {
namespace {

constexpr std::size_t page = 4096;

/// Of so many elements, in whole pages.
std::size_t bytes_of(std::size_t num_elements, Dtype dtype = Dtype::f32) {
  return round_up(checked_mul(num_elements, size_of(dtype)), page);
}

GradientMemory as_in_the_row(const std::vector<Range>& buckets, std::size_t size) {
  GradientMemory memory{.begin = {}, .size = size, .sums = SumPlace::in_place};
  for (const Range& bucket : buckets) memory.begin.push_back(bucket.begin);
  return memory;
}

}  // namespace

Exchange::Exchange(Communicator& comm, std::size_t size, const std::vector<Range>& buckets,
                   const ExchangeOptions& options)
    : Exchange(comm, size, buckets, options, as_in_the_row(buckets, size)) {}

Exchange::Exchange(Communicator& comm, std::size_t size, std::vector<Range> buckets,
                   const ExchangeOptions& options, GradientMemory gradients)
    : comm_(comm),
      size_(size),
      buckets_(std::move(buckets)),
      options_(options),
      gradients_(std::move(gradients)),
      me_(static_cast<std::size_t>(comm.rank())),
      own_sums_(buckets_.size()) {
  flag_bytes_ = round_up(num_kinds * buckets_.size() * sizeof(std::uint64_t), page);
  make_memory(options_.shared_memory);
  shards_ = plan_owners(buckets_, topology_.order_across());
  for (std::size_t b = 0; b < buckets_.size(); ++b) {
    sums_begin_.push_back(sums_size_);
    sums_size_ += round_up(owned(b).size(), page / sizeof(float));
  }
  if (gradients_.sums == SumPlace::apart) reserve({});
}

Exchange::~Exchange() = default;

/// Falls back to messages, on all ranks, when the ranks of some host cannot share memory.
void Exchange::make_memory(bool shared) {
  topology_ = shared ? find_topology(comm_) : separate_hosts(comm_.size());
  my_host_ = static_cast<std::size_t>(topology_.host_of[me_]);
  my_peer_ = static_cast<std::size_t>(topology_.index_of[me_]);
  const std::size_t bytes = checked_add(checked_add(flag_bytes_, bytes_of(gradients_.size)),
                                        bytes_of(size_, options_.values));
  std::string problem;
  try {
    memory_ = std::make_unique<SharedMemory>(comm_, bytes, peers());
  } catch (const CommError& error) {
    problem = error.what();
  }
  if (comm_.all_reduce_min(problem.empty() ? 1 : 0) == 1) return;
  require<CommError>(shared, "comm.memory",
                     "{}\n  fix: give this host more memory, or use a smaller model", problem);
  if (!problem.empty())
    log::warn("ranks of one host exchange messages instead of sharing memory: {}", problem);
  make_memory(false);
}

std::span<float> Exchange::gradients(Place place) const {
  const std::span<std::byte> bytes = place.slot > 0
                                         ? slots_.at(place.slot - 1)->segment(place.peer)
                                         : memory_->segment(place.peer).subspan(flag_bytes_);
  return {reinterpret_cast<float*>(bytes.data()), gradients_.size};
}

std::span<float> Exchange::gradients(Place place, const Range& part) const {
  std::size_t b = 0;
  while (buckets_[b].end < part.end) ++b;
  return gradients(place).subspan(gradients_.begin[b] + part.begin - buckets_[b].begin,
                                  part.size());
}

std::span<std::byte> Exchange::values(std::size_t peer) const {
  return values(peer, {0, size_});
}

std::span<std::byte> Exchange::values(std::size_t peer, const Range& part) const {
  const std::size_t begin = flag_bytes_ + bytes_of(gradients_.size);
  const std::size_t element = size_of(options_.values);
  return memory_->segment(peer).subspan(begin + part.begin * element, part.size() * element);
}

std::span<float> Exchange::sums(std::size_t slot, std::size_t bucket) const {
  const Range part = owned(bucket);
  if (gradients_.sums == SumPlace::in_place) return gradients({my_peer_, slot}, part);
  auto* const floats = reinterpret_cast<float*>(sums_[slot]->segment(0).data());
  return {floats + sums_begin_[bucket], part.size()};
}

std::shared_ptr<const void> Exchange::sums_memory() const {
  return gradients_.sums == SumPlace::in_place ? memory({my_peer_, 0}) : sums_[0]->owner(0);
}

std::shared_ptr<const void> Exchange::memory(Place place) const {
  return place.slot > 0 ? slots_.at(place.slot - 1)->owner(place.peer) : memory_->owner(place.peer);
}

void Exchange::reserve(const ExchangeRoom& room) {
  while (slots_.size() + 1 < room.slots)
    slots_.push_back(std::make_unique<SharedMemory>(comm_, bytes_of(gradients_.size), peers()));
  const int me = comm_.rank();
  while (gradients_.sums == SumPlace::apart && sums_.size() < room.sums) {
    // One that owns nothing takes part as well.
    const std::size_t bytes = std::max(page, bytes_of(sums_size_));
    sums_.push_back(std::make_unique<SharedMemory>(comm_, bytes, std::span(&me, 1)));
  }
}

std::uint64_t* Exchange::flag(std::size_t peer, Kind kind, std::size_t bucket) const {
  auto* flags = reinterpret_cast<std::uint64_t*>(memory_->segment(peer).data());
  return flags + static_cast<std::size_t>(kind) * buckets_.size() + bucket;
}

void Exchange::raise(Kind kind, std::size_t bucket, std::uint64_t number) {
  std::atomic_ref(*flag(my_peer_, kind, bucket)).store(number, std::memory_order_release);
}

void Exchange::await(std::size_t peer, Kind kind, std::size_t bucket, std::uint64_t number) {
  const std::atomic_ref value(*flag(peer, kind, bucket));
  if (value.load(std::memory_order_acquire) >= number) return;
  const Recorded operation(comm_, kind == published ? "gradient of a peer" : "parameters of a peer",
                           bucket, peers()[peer]);
  comm_.wait_until([&] {
    progress();
    return value.load(std::memory_order_acquire) >= number;
  });
}

void Exchange::release(std::size_t bucket) {
  raise(released, bucket, round_);
}

bool Exchange::is_released(std::size_t bucket, std::uint64_t round) const {
  for (std::size_t peer = 0; peer < num_peers(); ++peer) {
    const std::atomic_ref value(*flag(peer, released, bucket));
    if (value.load(std::memory_order_acquire) < round) return false;
  }
  return true;
}

bool Exchange::progress() {
  bool all = true;
  for (auto* ways : {&reducing_, &gathering_}) {
    for (UnderWay& way : *ways) all = (!way.messages || way.messages->test()) && all;
  }
  return all;
}

int Exchange::stand_in(std::size_t host, std::size_t r) const {
  if (host == static_cast<std::size_t>(topology_.host_of[r])) return static_cast<int>(r);
  const std::vector<int>& ranks = topology_.hosts[host];
  return ranks[static_cast<std::size_t>(topology_.index_of[r]) % ranks.size()];
}

bool Exchange::handles(std::size_t r) const {
  return stand_in(my_host_, r) == comm_.rank();
}

void Exchange::UnderWay::begin(Communicator& comm) {
  if (!messages) messages = comm.transfers();
  num_bytes = 0;
}

void Exchange::UnderWay::send(std::span<const std::byte> bytes, int to) {
  num_bytes += bytes.size();
  messages->send(bytes, to);
}

void Exchange::UnderWay::receive(std::span<std::byte> bytes, int from) {
  num_bytes += bytes.size();
  messages->receive(bytes, from);
}

void Exchange::start_gather(std::size_t bucket) {
  raise(own_updated, bucket, step_);
  const Recorded operation(comm_, "start to gather", bucket);
  UnderWay& way = gathering_[bucket % gathering_.size()];
  way.begin(comm_);
  for (std::size_t r = 0; r < shards_[bucket].size(); ++r) {
    const Range& shard = shards_[bucket][r];
    if (topology_.host_of[r] != topology_.host_of[me_] && handles(r)) {
      way.receive(values(my_peer_, shard), static_cast<int>(r));
    }
  }
  for (std::size_t step = 1; step < topology_.hosts.size(); ++step) {
    const std::size_t host = (my_host_ + step) % topology_.hosts.size();
    way.send(values(my_peer_, owned(bucket)), stand_in(host, me_));
  }
}

void Exchange::finish_gather(std::size_t bucket, const Take& take) {
  UnderWay& way = gathering_[bucket % gathering_.size()];
  {
    const Recorded operation(comm_, "all-gather", bucket, -1, way.num_bytes);
    comm_.wait_until([&] { return progress() || way.messages->test(); });
  }
  raise(all_updated, bucket, step_);
  for (std::size_t r = 0; r < shards_[bucket].size(); ++r) {
    const Range& shard = shards_[bucket][r];
    if (r == me_ || shard.empty()) continue;
    const bool is_here = topology_.host_of[r] == topology_.host_of[me_];
    const auto holder = static_cast<std::size_t>(
        topology_.index_of[static_cast<std::size_t>(stand_in(my_host_, r))]);
    if (holder != my_peer_) await(holder, is_here ? own_updated : all_updated, bucket, step_);
    take(shard, values(holder, shard));
  }
}

}  // namespace motley
