#include "dist/exchange.h"

#include <algorithm>
#include <atomic>

#include "dist/agree.h"
#include "dist/shard_plan.h"
#include "tensor/checked.h"
#include "tensor/half.h"
#include "tensor/log.h"

namespace motley {
namespace {

constexpr std::size_t page = 4096;

// What a rank's flags tell its host, for each bucket: the number of the last step of which it
// holds.
enum Kind : int { published, own_updated, all_updated, num_kinds };

/// Marks an operation in the flight recorder for as long as it lives.
class Recorded {
 public:
  Recorded(Communicator& comm, std::string_view what, std::size_t bucket, int peer = -1)
      : comm_(comm) {
    comm_.recorder().begin(what, static_cast<int>(bucket), peer);
  }
  Recorded(const Recorded&) = delete;
  Recorded& operator=(const Recorded&) = delete;
  ~Recorded() { comm_.recorder().end(); }

 private:
  Communicator& comm_;
};

/// The parts [begin, end) that add up to a plan's results, in blocks that stay in the nearest cache
/// while all additions pass over them.
void add_in_blocks(std::vector<float*>& inputs, const MergePlan& plan, std::size_t size) {
  constexpr std::size_t block = 4096;
  for (std::size_t begin = 0; begin < size; begin += block) {
    const std::size_t num = std::min(block, size - begin);
    for (const TreeAdd& merge : plan.merges)
      add_to({inputs[merge.into] + begin, num}, {inputs[merge.from] + begin, num});
  }
}

}  // namespace

Exchange::Exchange(Communicator& comm, std::size_t size, std::vector<Range> buckets,
                   const ExchangeOptions& options)
    : comm_(comm),
      size_(size),
      buckets_(std::move(buckets)),
      options_(options),
      me_(static_cast<std::size_t>(comm.rank())),
      own_sums_(buckets_.size()) {
  flag_bytes_ = round_up(num_kinds * buckets_.size() * sizeof(std::uint64_t), page);
  make_memory(options_.shared_memory);
  shards_ = plan_owners(buckets_, topology_.order_across());
}

Exchange::~Exchange() = default;

/// Falls back to messages, on all ranks, when the ranks of some host cannot share memory.
void Exchange::make_memory(bool shared) {
  topology_ = shared ? find_topology(comm_) : separate_hosts(comm_.size());
  my_host_ = static_cast<std::size_t>(topology_.host_of[me_]);
  my_peer_ = static_cast<std::size_t>(topology_.index_of[me_]);
  const std::size_t bytes =
      checked_add(flag_bytes_, checked_mul(2, round_up(checked_mul(size_, sizeof(float)), page)));
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
  if (place.slot > 0) {
    const auto bytes = slots_.at(place.slot - 1)->segment(place.peer);
    return {reinterpret_cast<float*>(bytes.data()), size_};
  }
  const auto bytes = memory_->segment(place.peer).subspan(flag_bytes_);
  return {reinterpret_cast<float*>(bytes.data()), size_};
}

std::span<float> Exchange::values(std::size_t peer) const {
  const std::size_t offset = flag_bytes_ + round_up(size_ * sizeof(float), page);
  const auto bytes = memory_->segment(peer).subspan(offset);
  return {reinterpret_cast<float*>(bytes.data()), size_};
}

std::shared_ptr<const void> Exchange::memory(Place place) const {
  return place.slot > 0 ? slots_.at(place.slot - 1)->owner(place.peer) : memory_->owner(place.peer);
}

std::uint64_t* Exchange::flag(std::size_t peer, int kind, std::size_t bucket) const {
  auto* flags = reinterpret_cast<std::uint64_t*>(memory_->segment(peer).data());
  return flags + static_cast<std::size_t>(kind) * buckets_.size() + bucket;
}

void Exchange::raise(int kind, std::size_t bucket) {
  std::atomic_ref(*flag(my_peer_, kind, bucket)).store(step_, std::memory_order_release);
}

void Exchange::await(std::size_t peer, int kind, std::size_t bucket) {
  const std::atomic_ref value(*flag(peer, kind, bucket));
  if (value.load(std::memory_order_acquire) >= step_) return;
  const Recorded operation(comm_, kind == published ? "gradient of a peer" : "parameters of a peer",
                           bucket, peers()[peer]);
  comm_.wait_until([&] {
    progress();
    return value.load(std::memory_order_acquire) >= step_;
  });
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

void Exchange::reserve_slots(std::size_t num_slots) {
  while (this->num_slots() < num_slots)
    slots_.push_back(std::make_unique<SharedMemory>(comm_, size_ * sizeof(float), peers()));
}

void Exchange::plan_step(const std::vector<std::vector<Range>>& nodes, std::size_t num_leaves) {
  ++step_;
  sums_.assign(topology_.hosts.size(), {});
  std::vector<Range> results;
  std::size_t slots = 1;
  for (std::size_t host = 0; host < sums_.size(); ++host) {
    HostSums& sums = sums_[host];
    for (std::size_t peer = 0; peer < topology_.hosts[host].size(); ++peer) {
      const auto& own = nodes[static_cast<std::size_t>(topology_.hosts[host][peer])];
      slots = std::max(slots, own.size());
      for (std::size_t i = 0; i < own.size(); ++i) {
        sums.nodes.push_back(own[i]);
        sums.places.push_back({peer, i + 1 == own.size() ? 0 : i + 1});
      }
    }
    sums.plan = plan_merges(sums.nodes, num_leaves);
    results.insert(results.end(), sums.plan.nodes.begin(), sums.plan.nodes.end());
  }
  final_plan_ = plan_merges(results, num_leaves);
  require<ShapeError>(final_plan_.results.size() == 1 && final_plan_.nodes[0].size() == num_leaves,
                      "exchange.leaves",
                      "the ranks' leaves do not make up a step of {} leaves in the order of hosts",
                      num_leaves);
  require<ShapeError>(slots <= num_slots(), "exchange.slots",
                      "a rank has {} nodes but there are {} slots; reserve them first", slots,
                      num_slots());
}

/// Adds what this host has of `part`; returns where the results are. This rank alone touches `part`
/// on this host.
std::vector<Place> Exchange::add_on_host(const Range& part, Adder& adder) {
  const HostSums& sums = sums_[my_host_];
  const Place mine{my_peer_, 0};
  std::vector<Place> places = sums.places;
  for (const TreeAdd& merge : sums.plan.merges) {
    // The sum of two numbers has the same bits either way: what is mine becomes the sum.
    if (places[merge.from] == mine) std::swap(places[merge.into], places[merge.from]);
    if (!part.empty()) adder.add(part, places[merge.into], places[merge.from]);
  }
  std::vector<Place> results;
  for (const std::size_t i : sums.plan.results) results.push_back(places[i]);
  return results;
}

std::span<std::uint16_t> Exchange::outbox(std::size_t bucket) {
  std::vector<std::uint16_t>& outbox = reducing_[bucket % reducing_.size()].outbox16;
  if (outbox.size() < buckets_[bucket].size()) outbox.resize(buckets_[bucket].size());
  return std::span(outbox).first(buckets_[bucket].size());
}

void Exchange::start_reduce(std::size_t bucket, Adder& adder, Rounded rounded) {
  raise(published, bucket);
  for (std::size_t peer = 0; peer < num_peers(); ++peer) await(peer, published, bucket);
  std::vector<std::vector<Place>> sums(static_cast<std::size_t>(comm_.size()));
  {
    const Recorded operation(comm_, "add on this host", bucket);
    for (std::size_t r = 0; r < sums.size(); ++r) {
      if (handles(r)) sums[r] = add_on_host(shards_[bucket][r], adder);
    }
    adder.finish();
  }
  own_sums_[bucket] = sums[me_];
  exchange_parts(bucket, sums, rounded);
}

/// Other hosts' sums of this rank's part, of which there are `part` elements.
void Exchange::receive_parts(UnderWay& way, std::size_t part) {
  std::size_t arriving = 0;
  for (std::size_t host = 0; host < sums_.size(); ++host) {
    if (host != my_host_) arriving += sums_[host].plan.results.size() * part;
  }
  const bool is_f32 = options_.wire == Wire::f32;
  if (way.inbox.size() < arriving) way.inbox.resize(arriving);
  if (!is_f32 && way.inbox16.size() < arriving) way.inbox16.resize(arriving);
  std::size_t at = 0;
  for (std::size_t host = 0; host < sums_.size(); ++host) {
    if (host == my_host_) continue;
    const int from = stand_in(host, me_);
    for (std::size_t i = 0; i < sums_[host].plan.results.size(); ++i, at += part) {
      way.messages->receive(is_f32
                                ? std::as_writable_bytes(std::span(way.inbox).subspan(at, part))
                                : std::as_writable_bytes(std::span(way.inbox16).subspan(at, part)),
                            from);
    }
  }
}

void Exchange::exchange_parts(std::size_t bucket, const std::vector<std::vector<Place>>& sums,
                              Rounded rounded) {
  const Recorded operation(comm_, "start to exchange", bucket);
  UnderWay& way = reducing_[bucket % reducing_.size()];
  if (!way.messages) way.messages = comm_.transfers();
  receive_parts(way, owned(bucket).size());
  std::size_t leaving = 0;
  for (std::size_t r = 0; r < sums.size(); ++r) {
    if (topology_.host_of[r] != topology_.host_of[me_])
      leaving += sums[r].size() * shards_[bucket][r].size();
  }
  if (options_.wire == Wire::bf16 && way.outbox16.size() < leaving) way.outbox16.resize(leaving);
  // Each rank starts with its right-hand neighbour, so that no rank is everybody's first target.
  std::size_t at = 0;
  for (std::size_t step = 1; step < sums.size(); ++step) {
    const std::size_t r = (me_ + step) % sums.size();
    if (topology_.host_of[r] == topology_.host_of[me_]) continue;
    const Range& shard = shards_[bucket][r];
    if (rounded == Rounded::yes) {
      const auto values =
          outbox(bucket).subspan(shard.begin - buckets_[bucket].begin, shard.size());
      way.messages->send(std::as_bytes(values), static_cast<int>(r));
      continue;
    }
    for (const Place& place : sums[r]) {
      send_part(way, gradients(place).subspan(shard.begin, shard.size()), at, static_cast<int>(r));
      at += shard.size();
    }
  }
}

void Exchange::send_part(UnderWay& way, std::span<const float> values, std::size_t offset16,
                         int to) {
  if (options_.wire == Wire::f32) return way.messages->send(std::as_bytes(values), to);
  const auto narrow_part = std::span(way.outbox16).subspan(offset16, values.size());
  convert_from_f32(std::as_writable_bytes(narrow_part), values, Dtype::bf16);
  way.messages->send(std::as_bytes(narrow_part), to);
}

void Exchange::finish_reduce(std::size_t bucket) {
  UnderWay& way = reducing_[bucket % reducing_.size()];
  {
    const Recorded operation(comm_, "reduce-scatter", bucket);
    comm_.wait_until([&] { return progress() || way.messages->test(); });
  }
  const Recorded operation(comm_, "add over hosts", bucket);
  const Range part = owned(bucket);
  const std::span<float> mine = gradients({my_peer_, 0}).subspan(part.begin, part.size());
  std::vector<float*> inputs;
  std::size_t at = 0;
  for (std::size_t host = 0; host < sums_.size(); ++host) {
    if (host == my_host_) {
      for (const Place& place : own_sums_[bucket])
        inputs.push_back(gradients(place).subspan(part.begin, part.size()).data());
      continue;
    }
    for (std::size_t i = 0; i < sums_[host].plan.results.size(); ++i, at += part.size()) {
      const auto arrived = std::span(way.inbox).subspan(at, part.size());
      if (options_.wire == Wire::bf16) {
        convert_to_f32(arrived, std::as_bytes(std::span(way.inbox16).subspan(at, part.size())),
                       Dtype::bf16);
      }
      inputs.push_back(arrived.data());
    }
  }
  add_in_blocks(inputs, final_plan_, part.size());
  const float* const sum = inputs[final_plan_.results[0]];
  if (sum != mine.data()) std::copy_n(sum, part.size(), mine.begin());
}

void Exchange::start_gather(std::size_t bucket) {
  raise(own_updated, bucket);
  const Recorded operation(comm_, "start to gather", bucket);
  UnderWay& way = gathering_[bucket % gathering_.size()];
  if (!way.messages) way.messages = comm_.transfers();
  const std::span<float> mine = values(my_peer_);
  for (std::size_t r = 0; r < shards_[bucket].size(); ++r) {
    const Range& shard = shards_[bucket][r];
    if (topology_.host_of[r] != topology_.host_of[me_] && handles(r)) {
      way.messages->receive(std::as_writable_bytes(mine.subspan(shard.begin, shard.size())),
                            static_cast<int>(r));
    }
  }
  const Range own = owned(bucket);
  for (std::size_t step = 1; step < topology_.hosts.size(); ++step) {
    const std::size_t host = (my_host_ + step) % topology_.hosts.size();
    way.messages->send(std::as_bytes(mine.subspan(own.begin, own.size())), stand_in(host, me_));
  }
}

void Exchange::finish_gather(std::size_t bucket, const Take& take) {
  UnderWay& way = gathering_[bucket % gathering_.size()];
  {
    const Recorded operation(comm_, "all-gather", bucket);
    comm_.wait_until([&] { return progress() || way.messages->test(); });
  }
  raise(all_updated, bucket);
  for (std::size_t r = 0; r < shards_[bucket].size(); ++r) {
    const Range& shard = shards_[bucket][r];
    if (r == me_ || shard.empty()) continue;
    const bool is_here = topology_.host_of[r] == topology_.host_of[me_];
    const auto holder = static_cast<std::size_t>(
        topology_.index_of[static_cast<std::size_t>(stand_in(my_host_, r))]);
    if (holder != my_peer_) await(holder, is_here ? own_updated : all_updated, bucket);
    take(shard, values(holder).subspan(shard.begin, shard.size()));
  }
}

}  // namespace motley
