// How gradients are summed over ranks and updated parameters come back: bucket by bucket, on host
// memory, on the communication thread. Knows no device: train/gradient_reducer.h ties it to one.
//
// Each bucket is divided into one part for each rank, its owner. Within a host, ranks see each
// other's gradients in shared memory, and a part is added up where it lies by one rank: by its
// owner if that is on the host, else by the rank that stands in for the owner there, which then
// sends it. So a host sends and receives each part once, however many ranks it has (Thakur et al.
// 2005's reduce-scatter and all-gather by direct exchange, on two levels). Sums follow the one tree
// of tree_sum.h, so their bits do not depend on any of this.
//
// Gradients are summed once a step, or in rounds: then owners keep the sums of earlier rounds, and
// buckets may take turns in the same memory.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "dist/communicator.h"
#include "dist/shared_memory.h"
#include "dist/topology.h"
#include "dist/tree_sum.h"
#include "tensor/dtype.h"

namespace motley {

/// What gradients look like between hosts. bf16 halves the traffic, costs one rounding of each
/// host's sum and, with it, the same bits on any number of hosts; owners add in f32 either way.
enum class Wire { f32, bf16 };

/// Whether what goes to other hosts was rounded to bf16 by the caller, into outbox().
enum class Rounded { no, yes };

struct ExchangeOptions {
  Wire wire = Wire::f32;
  bool shared_memory = true;  // off: ranks of a host exchange messages as if on hosts of their own
  Dtype values = Dtype::f32;  // of parameters
};

/// Where owners have their sums.
enum class SumPlace {
  in_place,  // among their gradients: these are summed once a step
  apart      // in memory of their own, which grows from round to round
};

/// Where the gradients of buckets lie in a rank's slots.
struct GradientMemory {
  /// By bucket: where it begins, in elements. With SumPlace::apart buckets may lie in the same
  /// place: a rank writes to one when is_released says so of the one that was there before.
  std::vector<std::size_t> begin;
  std::size_t size = 0;  // of a slot
  SumPlace sums = SumPlace::in_place;
};

/// What ranks contribute to a round: by rank, the leaves whose sums it has in its slots, the last
/// one in slot 0 and those before it in slots 1, 2, ...; all of a tree of num_leaves.
struct Contributions {
  std::vector<std::vector<Range>> nodes;
  std::size_t num_leaves = 0;
};

/// The memory that a step takes, in slots of gradients and of an owner's sums.
struct ExchangeRoom {
  std::size_t slots = 1;
  std::size_t sums = 1;
};

/// Where on this host the sum of a node lies: with which of its ranks, and in which of that rank's
/// gradient slots.
struct Place {
  std::size_t peer = 0;
  std::size_t slot = 0;
  friend bool operator==(const Place&, const Place&) = default;
};

/// Adds within the memory of this host. The default works with the processor; a CPU device does it
/// with kernels over the same memory.
class Adder {
 public:
  virtual ~Adder() = default;
  /// Elements `part` of `into` grow by those of `from`.
  virtual void add(const Range& part, Place into, Place from) = 0;
  /// Returns when all additions are done.
  virtual void finish() {}
};

/// The order of calls, the same on all ranks, for the buckets one after another:
/// reserve, if a step needs more than there is; plan_step; for each round begin_round and, for each
/// bucket, start_reduce(b), finish_reduce(b), release(b); then, when owners have updated their
/// parts, start_gather(b), finish_gather(b). Up to max_under_way buckets may be started before the
/// first of them is finished: then links do not fall idle while the slowest messages of one bucket
/// come in; a round begins when all of the one before are. All of these but reserve, which is for a
/// time when nothing is under way, belong on the communication thread. Throws CommError.
class Exchange {
 public:
  /// Collective. buckets: disjoint ranges of [0, size), in elements.
  Exchange(Communicator& comm, std::size_t size, const std::vector<Range>& buckets,
           const ExchangeOptions& options);
  /// The same with gradients elsewhere than in [0, size).
  Exchange(Communicator& comm, std::size_t size, std::vector<Range> buckets,
           const ExchangeOptions& options, GradientMemory gradients);
  ~Exchange();

  static constexpr std::size_t max_under_way = 4;
  /// Calls start(i) and finish(i) for i = 0 .. num - 1, with so many started and not finished, at
  /// most max_under_way.
  template <class Start, class Finish>
  static void pipeline(std::size_t num, Start start, Finish finish,
                       std::size_t under_way = max_under_way) {
    const std::size_t lag = under_way - 1;
    for (std::size_t i = 0; i < num + lag; ++i) {
      if (i < num) start(i);
      if (i >= lag) finish(i - lag);
    }
  }

  std::size_t num_buckets() const { return buckets_.size(); }
  /// Who owns what of a bucket, by rank, in elements of [0, size).
  const std::vector<Range>& shards(std::size_t bucket) const { return shards_.at(bucket); }
  Range owned(std::size_t bucket) const { return shards(bucket)[me_]; }

  Wire wire() const { return options_.wire; }
  SumPlace sum_place() const { return gradients_.sums; }
  /// The hosts, as far as memory is shared.
  const Topology& topology() const { return topology_; }
  std::size_t num_peers() const { return peers().size(); }
  /// This rank among the ranks of its host.
  std::size_t my_peer() const { return my_peer_; }

  /// A peer's gradients in a slot, f32[GradientMemory::size]. Slot 0 always exists.
  std::span<float> gradients(Place place) const;
  /// Of these the elements `part` of the row, which lie in one bucket.
  std::span<float> gradients(Place place, const Range& part) const;
  /// The sums of owned(bucket).
  std::span<float> sums(std::size_t bucket) const { return sums(0, bucket); }
  /// Keeps the memory behind sums() alive.
  std::shared_ptr<const void> sums_memory() const;
  /// A peer's parameters, [size] of ExchangeOptions::values.
  std::span<std::byte> values(std::size_t peer) const;
  /// Of these the elements `part` of the row.
  std::span<std::byte> values(std::size_t peer, const Range& part) const;
  /// Keeps the memory behind gradients() and values() of a peer alive.
  std::shared_ptr<const void> memory(Place place) const;

  /// What a step of these rounds needs.
  ExchangeRoom room_for(std::span<const Contributions> rounds) const;
  ExchangeRoom room() const { return {slots_.size() + 1, std::max<std::size_t>(1, sums_.size())}; }
  /// Collective. Makes memory until there is so much, the same on all ranks.
  void reserve(const ExchangeRoom& room);
  /// The rounds of a step, the same on all ranks: one with SumPlace::in_place. In each, ranks hold
  /// adjacent leaves in the order of topology().order(), and those of a round follow those of the
  /// round before. Rounds with a tree each are added up as they come. Throws ShapeError when the
  /// leaves do not make up a tree, or when there is too little room.
  void plan_step(std::span<const Contributions> rounds);
  /// The next round.
  void begin_round();

  /// This rank's contribution to the bucket, if it has any, is in its slots. Adds within the host
  /// and starts to send. With Rounded::yes, which is for a rank that is alone on its host, has one
  /// node, and sends bf16: what other ranks own is in the outbox, and of slot 0 only owned(bucket)
  /// is read.
  void start_reduce(std::size_t bucket, Adder& adder, Rounded rounded = Rounded::no);
  /// Where a bucket goes as bf16, element by element; from when the bucket max_under_way before it
  /// was finished until this one is.
  std::span<std::uint16_t> outbox(std::size_t bucket);
  /// Afterwards sums(bucket) have grown by those of the round.
  void finish_reduce(std::size_t bucket);
  /// Tells this host that this rank is done with all gradients of the bucket, for this round.
  void release(std::size_t bucket);
  /// Whether all ranks of this host have released a bucket in a round, counted from 1 since this
  /// exchange was made; of round 0, always. On any thread.
  bool is_released(std::size_t bucket, std::uint64_t round) const;

  /// This rank's values are right in owned(bucket).
  void start_gather(std::size_t bucket);
  /// Hands `take` every other rank's part of the bucket and where its values are now.
  using Take = std::function<void(const Range& part, std::span<const std::byte> values)>;
  void finish_gather(std::size_t bucket, const Take& take);
  /// Lets messages that are under way move on; true when there are none. For those who wait for
  /// something else meanwhile.
  bool progress();

 private:
  /// Messages of a bucket that are under way.
  struct UnderWay {
    std::unique_ptr<Transfers> messages;
    std::uint64_t num_bytes = 0;          // sent and received since begin()
    std::vector<float> inbox;             // other hosts' sums of this rank's part
    std::vector<std::uint16_t> inbox16;   // the same as they travel
    std::vector<std::uint16_t> outbox16;  // this host's sums of others' parts, in order of sending

    void begin(Communicator& comm);
    void send(std::span<const std::byte> bytes, int to);
    void receive(std::span<std::byte> bytes, int from);
  };
  /// The sums that one host brings to the exchange between hosts.
  struct HostSums {
    std::vector<Range> nodes;
    std::vector<Place> places;  // before adding; this rank's host only
    MergePlan plan;
  };
  struct RoundPlan {
    std::vector<HostSums> hosts;
    MergePlan merges;                   // of the results of all hosts
    std::vector<SumStack::Step> steps;  // what becomes of the results of these
  };

  const std::vector<int>& peers() const { return topology_.hosts[my_host_]; }
  /// Who handles rank r's parts on a host.
  int stand_in(std::size_t host, std::size_t r) const;
  bool handles(std::size_t r) const;
  /// What a rank tells its host of a bucket, by kind: the number of the last round or step of which
  /// it holds.
  enum Kind : int { published, released, own_updated, all_updated, num_kinds };
  std::uint64_t* flag(std::size_t peer, Kind kind, std::size_t bucket) const;
  void raise(Kind kind, std::size_t bucket, std::uint64_t number);
  void await(std::size_t peer, Kind kind, std::size_t bucket, std::uint64_t number);
  void make_memory(bool shared);
  RoundPlan plan_round(const Contributions& round, SumStack& stack) const;
  std::vector<RoundPlan> plan_rounds(std::span<const Contributions> rounds,
                                     ExchangeRoom& room) const;
  const RoundPlan& now() const { return rounds_.at(next_round_ - 1); }
  std::span<float> sums(std::size_t slot, std::size_t bucket) const;
  std::vector<Place> add_on_host(const Range& part, Adder& adder);
  void exchange_parts(std::size_t bucket, const std::vector<std::vector<Place>>& sums,
                      Rounded rounded);
  void receive_parts(UnderWay& way, std::size_t part);
  void send_part(UnderWay& way, std::span<const float> values, std::size_t offset16, int to);
  std::vector<float*> round_inputs(std::size_t bucket);

  Communicator& comm_;
  std::size_t size_;
  std::vector<Range> buckets_;
  ExchangeOptions options_;
  GradientMemory gradients_;
  Topology topology_;
  std::size_t me_;
  std::size_t my_host_ = 0;
  std::size_t my_peer_ = 0;
  std::vector<std::vector<Range>> shards_;
  std::vector<std::size_t> sums_begin_;  // by bucket: where its sums begin, with SumPlace::apart
  std::size_t sums_size_ = 0;
  std::size_t flag_bytes_ = 0;
  std::unique_ptr<SharedMemory> memory_;              // flags, slot 0, values
  std::vector<std::unique_ptr<SharedMemory>> slots_;  // slots 1, 2, ...
  std::vector<std::unique_ptr<SharedMemory>> sums_;   // with SumPlace::apart; this rank's alone

  std::vector<RoundPlan> rounds_;  // of the step
  std::size_t next_round_ = 0;
  std::uint64_t step_ = 0;  // since this exchange was made, as are rounds
  std::uint64_t round_ = 0;
  std::array<UnderWay, max_under_way> reducing_;
  std::array<UnderWay, max_under_way> gathering_;
  std::vector<std::vector<Place>> own_sums_;  // by bucket: where this host's sums of owned() lie
};

}  // namespace motley
