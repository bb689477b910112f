// How Exchange plans a step's rounds and sums gradients.
#include <algorithm>

#include "dist/exchange.h"
#include "dist/recorded.h"
#include "tensor/error.h"
#include "tensor/half.h"

namespace motley {
namespace {

struct Addition {
  float* into;
  const float* from;
  bool replaces = false;
};

/// One after another, in blocks that stay in the nearest cache while all additions pass over them.
void add_in_blocks(std::span<const Addition> additions, std::size_t size) {
  constexpr std::size_t block = 4096;
  for (std::size_t begin = 0; begin < size; begin += block) {
    const std::size_t num = std::min(block, size - begin);
    for (const Addition& addition : additions) {
      float* const into = addition.into + begin;
      const float* const from = addition.from + begin;
      if (!addition.replaces) {
        add_to({into, num}, {from, num});
      } else if (into != from) {
        std::copy_n(from, num, into);
      }
    }
  }
}

}  // namespace

/// Adds a round to what `stack` has.
Exchange::RoundPlan Exchange::plan_round(const Contributions& round, SumStack& stack) const {
  RoundPlan plan;
  std::vector<Range> results;
  for (const std::vector<int>& ranks : topology_.hosts) {
    HostSums& sums = plan.hosts.emplace_back();
    for (std::size_t peer = 0; peer < ranks.size(); ++peer) {
      const auto& own = round.nodes[static_cast<std::size_t>(ranks[peer])];
      for (std::size_t i = 0; i < own.size(); ++i) {
        sums.nodes.push_back(own[i]);
        sums.places.push_back({peer, i + 1 == own.size() ? 0 : i + 1});
      }
    }
    sums.plan = plan_merges(sums.nodes, round.num_leaves);
    results.insert(results.end(), sums.plan.nodes.begin(), sums.plan.nodes.end());
  }
  plan.merges = plan_merges(results, round.num_leaves);
  for (const Range& node : plan.merges.nodes)
    plan.steps.push_back(stack.push(node, round.num_leaves));
  return plan;
}

std::vector<Exchange::RoundPlan> Exchange::plan_rounds(std::span<const Contributions> rounds,
                                                       ExchangeRoom& room) const {
  SumStack stack;
  std::vector<RoundPlan> plans;
  for (const Contributions& round : rounds) {
    plans.push_back(plan_round(round, stack));
    for (const std::vector<Range>& own : round.nodes) room.slots = std::max(room.slots, own.size());
  }
  require<ShapeError>(stack.is_complete(), "exchange.leaves",
                      "the ranks' leaves do not make up a step in the order of hosts");
  room.sums = stack.num_slots();
  return plans;
}

ExchangeRoom Exchange::room_for(std::span<const Contributions> rounds) const {
  ExchangeRoom room;
  plan_rounds(rounds, room);
  return room;
}

void Exchange::plan_step(std::span<const Contributions> rounds) {
  ++step_;
  require<ShapeError>(gradients_.sums == SumPlace::apart || rounds.size() == 1, "exchange.rounds",
                      "{} rounds were given; where sums lie among gradients there is one",
                      rounds.size());
  ExchangeRoom needed;
  rounds_ = plan_rounds(rounds, needed);
  next_round_ = 0;
  require<ShapeError>(needed.slots <= room().slots && needed.sums <= room().sums, "exchange.room",
                      "a step takes {} slots of gradients and {} of sums but there are {} and {}; "
                      "reserve them first",
                      needed.slots, needed.sums, room().slots, room().sums);
}

void Exchange::begin_round() {
  ++round_;
  ++next_round_;
}

/// Adds what this host has of `part`; returns where the results are. This rank alone touches `part`
/// on this host.
std::vector<Place> Exchange::add_on_host(const Range& part, Adder& adder) {
  const HostSums& sums = now().hosts[my_host_];
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
  raise(published, bucket, round_);
  for (std::size_t peer = 0; peer < num_peers(); ++peer) await(peer, published, bucket, round_);
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
  const std::vector<HostSums>& hosts = now().hosts;
  std::size_t arriving = 0;
  for (std::size_t host = 0; host < hosts.size(); ++host) {
    if (host != my_host_) arriving += hosts[host].plan.results.size() * part;
  }
  const bool is_f32 = options_.wire == Wire::f32;
  if (way.inbox.size() < arriving) way.inbox.resize(arriving);
  if (!is_f32 && way.inbox16.size() < arriving) way.inbox16.resize(arriving);
  std::size_t at = 0;
  for (std::size_t host = 0; host < hosts.size(); ++host) {
    if (host == my_host_) continue;
    const int from = stand_in(host, me_);
    for (std::size_t i = 0; i < hosts[host].plan.results.size(); ++i, at += part) {
      way.receive(is_f32 ? std::as_writable_bytes(std::span(way.inbox).subspan(at, part))
                         : std::as_writable_bytes(std::span(way.inbox16).subspan(at, part)),
                  from);
    }
  }
}

void Exchange::exchange_parts(std::size_t bucket, const std::vector<std::vector<Place>>& sums,
                              Rounded rounded) {
  const Recorded operation(comm_, "start to exchange", bucket);
  UnderWay& way = reducing_[bucket % reducing_.size()];
  way.begin(comm_);
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
      way.send(std::as_bytes(values), static_cast<int>(r));
      continue;
    }
    for (const Place& place : sums[r]) {
      send_part(way, gradients(place, shard), at, static_cast<int>(r));
      at += shard.size();
    }
  }
}

void Exchange::send_part(UnderWay& way, std::span<const float> values, std::size_t offset16,
                         int to) {
  if (options_.wire == Wire::f32) return way.send(std::as_bytes(values), to);
  const auto narrow_part = std::span(way.outbox16).subspan(offset16, values.size());
  convert_from_f32(std::as_writable_bytes(narrow_part), values, Dtype::bf16);
  way.send(std::as_bytes(narrow_part), to);
}

/// The round's sums of owned(bucket): of hosts in their order.
std::vector<float*> Exchange::round_inputs(std::size_t bucket) {
  UnderWay& way = reducing_[bucket % reducing_.size()];
  const Range part = owned(bucket);
  const std::vector<HostSums>& hosts = now().hosts;
  std::vector<float*> inputs;
  std::size_t at = 0;
  for (std::size_t host = 0; host < hosts.size(); ++host) {
    if (host == my_host_) {
      for (const Place& place : own_sums_[bucket]) inputs.push_back(gradients(place, part).data());
      continue;
    }
    for (std::size_t i = 0; i < hosts[host].plan.results.size(); ++i, at += part.size()) {
      const auto arrived = std::span(way.inbox).subspan(at, part.size());
      if (options_.wire == Wire::bf16) {
        convert_to_f32(arrived, std::as_bytes(std::span(way.inbox16).subspan(at, part.size())),
                       Dtype::bf16);
      }
      inputs.push_back(arrived.data());
    }
  }
  return inputs;
}

void Exchange::finish_reduce(std::size_t bucket) {
  UnderWay& way = reducing_[bucket % reducing_.size()];
  {
    const Recorded operation(comm_, "reduce-scatter", bucket, -1, way.num_bytes);
    comm_.wait_until([&] { return progress() || way.messages->test(); });
  }
  const Recorded operation(comm_, "add over hosts", bucket);
  const std::vector<float*> inputs = round_inputs(bucket);
  const MergePlan& merges = now().merges;
  std::vector<Addition> additions;
  for (const TreeAdd& merge : merges.merges)
    additions.push_back({inputs[merge.into], inputs[merge.from]});
  for (std::size_t i = 0; i < merges.results.size(); ++i) {
    const SumStack::Step& step = now().steps[i];
    std::size_t slot = step.slot;
    additions.push_back({sums(slot, bucket).data(), inputs[merges.results[i]], step.is_free});
    for (std::size_t merge = 0; merge < step.num_merges; ++merge, --slot)
      additions.push_back({sums(slot - 1, bucket).data(), sums(slot, bucket).data()});
  }
  add_in_blocks(additions, owned(bucket).size());
}

}  // namespace motley
