// How gradients are summed over ranks and updated parameters come back: bucket by bucket, on host
// memory, on the communication thread. Knows no device: train/gradient_reducer.h ties it to one.
//
// Each bucket is divided into one part for each rank, its owner. Within a host, ranks see each
// other's gradients in shared memory, and a part is added up where it lies by one rank: by its
// owner if that is on the host, else by the rank that stands in for the owner there, which then
// sends it. So a host sends and receives each part once, however many ranks it has (Thakur et al.
// 2005's reduce-scatter and all-gather by direct exchange, on two levels). Sums follow the one tree
// of tree_sum.h, so their bits do not depend on any of this.
#pragma once

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

namespace motley {

/// What gradients look like between hosts. bf16 halves the traffic, costs one rounding of each
/// host's sum and, with it, the same bits on any number of hosts; owners add in f32 either way.
enum class Wire { f32, bf16 };

/// Whether what goes to other hosts was rounded to bf16 by the caller, into outbox().
enum class Rounded { no, yes };

struct ExchangeOptions {
  Wire wire = Wire::f32;
  bool shared_memory = true;  // off: ranks of a host exchange messages as if on hosts of their own
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
/// reserve_slots, if a rank needs more than there are; plan_step; start_reduce(b),
/// finish_reduce(b); then, when owners have updated their parts, start_gather(b), finish_gather(b).
/// Up to max_under_way buckets may be started before the first of them is finished: then links do
/// not fall idle while the slowest messages of one bucket come in. All of these but reserve_slots,
/// which is for a time when nothing is under way, belong on the communication thread. Throws
/// CommError.
class Exchange {
 public:
  /// Collective. buckets: disjoint ranges of [0, size), in elements.
  Exchange(Communicator& comm, std::size_t size, std::vector<Range> buckets,
           const ExchangeOptions& options);
  ~Exchange();

  static constexpr std::size_t max_under_way = 4;
  /// Calls start(i) and finish(i) for i = 0 .. num - 1, with that many started and not finished.
  template <class Start, class Finish>
  static void pipeline(std::size_t num, Start start, Finish finish) {
    constexpr std::size_t lag = max_under_way - 1;
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
  /// The hosts, as far as memory is shared.
  const Topology& topology() const { return topology_; }
  std::size_t num_peers() const { return peers().size(); }
  /// This rank among the ranks of its host.
  std::size_t my_peer() const { return my_peer_; }

  /// A peer's gradients in a slot, f32[size]. Slot 0 always exists.
  std::span<float> gradients(Place place) const;
  /// A peer's parameters, f32[size].
  std::span<float> values(std::size_t peer) const;
  /// Keeps the memory behind gradients() and values() of a peer alive.
  std::shared_ptr<const void> memory(Place place) const;

  /// Collective. Makes slots until there are `num_slots`, the same on all ranks: as many as the
  /// rank with most nodes has.
  void reserve_slots(std::size_t num_slots);
  std::size_t num_slots() const { return slots_.size() + 1; }
  /// nodes: what each rank contributes, by rank: the leaves whose sums it will have in its slots,
  /// the last one in slot 0 and those before it in slots 1, 2, ...; of a tree of num_leaves. Ranks
  /// hold adjacent leaves in the order of topology().order(). Throws ShapeError when they do not,
  /// or when there are too few slots.
  void plan_step(const std::vector<std::vector<Range>>& nodes, std::size_t num_leaves);

  /// This rank's contribution to the bucket is in its slots. Adds within the host and starts to
  /// send. With Rounded::yes, which is for a rank that is alone on its host, has one node, and
  /// sends bf16: what other ranks own is in the outbox, and of slot 0 only owned(bucket) is read.
  void start_reduce(std::size_t bucket, Adder& adder, Rounded rounded = Rounded::no);
  /// Where a bucket goes as bf16, element by element; from when the bucket max_under_way before it
  /// was finished until this one is.
  std::span<std::uint16_t> outbox(std::size_t bucket);
  /// Afterwards this rank's slot 0 holds the sum of all leaves in owned(bucket).
  void finish_reduce(std::size_t bucket);

  /// This rank's values are right in owned(bucket).
  void start_gather(std::size_t bucket);
  /// Hands `take` every other rank's part of the bucket and where its values are now.
  using Take = std::function<void(const Range& part, std::span<const float> values)>;
  void finish_gather(std::size_t bucket, const Take& take);
  /// Lets messages that are under way move on; true when there are none. For those who wait for
  /// something else meanwhile.
  bool progress();

 private:
  struct Flags;
  /// Messages of a bucket that are under way.
  struct UnderWay {
    std::unique_ptr<Transfers> messages;
    std::vector<float> inbox;             // other hosts' sums of this rank's part
    std::vector<std::uint16_t> inbox16;   // the same as they travel
    std::vector<std::uint16_t> outbox16;  // this host's sums of others' parts, in order of sending
  };
  /// The sums that one host brings to the exchange between hosts.
  struct HostSums {
    std::vector<Range> nodes;
    std::vector<Place> places;  // before adding; this rank's host only
    MergePlan plan;
  };

  const std::vector<int>& peers() const { return topology_.hosts[my_host_]; }
  /// Who handles rank r's parts on a host.
  int stand_in(std::size_t host, std::size_t r) const;
  bool handles(std::size_t r) const;
  std::uint64_t* flag(std::size_t peer, int kind, std::size_t bucket) const;
  void raise(int kind, std::size_t bucket);
  void await(std::size_t peer, int kind, std::size_t bucket);
  void make_memory(bool shared);
  std::vector<Place> add_on_host(const Range& part, Adder& adder);
  void exchange_parts(std::size_t bucket, const std::vector<std::vector<Place>>& sums,
                      Rounded rounded);
  void receive_parts(UnderWay& way, std::size_t part);
  void send_part(UnderWay& way, std::span<const float> values, std::size_t offset16, int to);

  Communicator& comm_;
  std::size_t size_;
  std::vector<Range> buckets_;
  ExchangeOptions options_;
  Topology topology_;
  std::size_t me_;
  std::size_t my_host_ = 0;
  std::size_t my_peer_ = 0;
  std::vector<std::vector<Range>> shards_;
  std::size_t flag_bytes_ = 0;
  std::unique_ptr<SharedMemory> memory_;              // flags, slot 0, values
  std::vector<std::unique_ptr<SharedMemory>> slots_;  // slots 1, 2, ...
  std::vector<HostSums> sums_;                        // by host
  MergePlan final_plan_;                              // over the results of all hosts
  std::uint64_t step_ = 0;
  std::array<UnderWay, max_under_way> reducing_;
  std::array<UnderWay, max_under_way> gathering_;
  std::vector<std::vector<Place>> own_sums_;  // by bucket: where this host's sums of owned() lie
};

}  // namespace motley
