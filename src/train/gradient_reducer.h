// Ties the exchange between ranks (dist/exchange.h) to a device: says when a bucket is ready, sums
// this rank's own leaves along the canonical tree, and brings what came back to the device.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "dist/exchange.h"
#include "dist/leaf_deal.h"
#include "model/params.h"
#include "tensor/clock.h"
#include "tensor/device.h"
#include "train/gradient_carrier.h"

namespace motley {

struct ReducerOptions {
  ExchangeOptions exchange = {};
  /// on: the same bits on any number of ranks. off: each rank adds its leaves up as they come,
  /// which needs no memory for sums of part of its leaves.
  bool exact = true;
  /// Where parameters and gradients lie, if there are several ranks.
  HostMemory memory = HostMemory::automatic;
  /// off: nothing travels while the device computes, to measure what overlap is worth. Sharded
  /// gradients have to travel meanwhile and do.
  bool overlap = true;
  /// on: gradients are summed after each leaf, and a rank keeps nothing but the sums it owns (ZeRO
  /// stage 2: Rajbhandari et al. 2020). off: a rank adds up its leaves first, which takes memory
  /// for all gradients but sends them once a step. One rank alone owns all and has no use for it.
  bool shard_gradients = false;
};

/// One step: begin_step; the leaves, with end_leaf after each; during backward prepare_stage, and
/// on_bucket_ready for each bucket, in rising order, of leaves that are exchanged; finish_reduce;
/// the updates of owned parts; start_gather; and, before a bucket's values are used again,
/// wait_for.
///
/// The exchange runs on the communication thread while the device works. Ranges are elements of the
/// row of all parameters (see ParamLayout). Uses the device's stream on the caller's thread and one
/// of its own on the communication thread. Throws CommError; ShapeError for calls out of order.
class GradientReducer {
 public:
  /// Collective. device and comm must outlive this object.
  GradientReducer(Device& device, Communicator& comm, ParamLayout layout,
                  const ReducerOptions& options);
  GradientReducer(const GradientReducer&) = delete;
  GradientReducer& operator=(const GradientReducer&) = delete;
  /// Gives up what is under way, for the end of a failed job.
  ~GradientReducer();

  /// The memory that parameters and gradients must live in.
  ParamMemory memory() const { return {rows_.values, rows_.slots.at(0)}; }
  /// Where that is. With one rank: automatic, for nothing was to be decided.
  HostMemory host_memory() const { return carrier_ ? carrier_->kind() : HostMemory::automatic; }
  std::size_t num_buckets() const { return rows_.layout.buckets.size(); }
  /// Who owns what of a bucket, by rank.
  const std::vector<Range>& shards(std::size_t bucket) const { return shards_.at(bucket); }
  Range owned(std::size_t bucket) const {
    return shards(bucket)[static_cast<std::size_t>(comm_.rank())];
  }
  /// In which order ranks take a step's leaves, so that those of a host are neighbours.
  const std::vector<int>& rank_order() const { return order_; }

  /// How a step's leaves are to be dealt.
  Dealing dealing() const {
    return exchange_ && options_.shard_gradients ? Dealing::rounds : Dealing::once;
  }
  /// Collective. Makes the memory that steps of this deal take; begin_step does so, too.
  void reserve(const LeafDeal& deal);
  /// Of a CPU device's memory: bytes of sums that are not in its pool.
  std::size_t bytes_beside_pool() const;
  /// Zeroes the gradients. All ranks give the same deal, made by dealing().
  void begin_step(const LeafDeal& deal);
  /// Backward is about to add to the gradients of a stage. Waits until their memory may be used.
  void prepare_stage(std::size_t stage);
  /// Whether the leaf that is computed now is exchanged bucket by bucket: with Dealing::once the
  /// last one of a step, else every one.
  bool is_exchanged() const;
  /// The bucket's gradients of such a leaf have been enqueued.
  void on_bucket_ready(std::size_t bucket);
  /// A leaf has been enqueued. The gradients of one that is not exchanged are put aside.
  void end_leaf();
  /// Returns when owned_gradients are the sums over all leaves.
  void finish_reduce();
  /// The gradients of owned(bucket), [owned size].
  const Tensor& owned_gradients(std::size_t bucket) const { return rows_.sums.at(bucket); }

  /// All updates have been enqueued: brings every owner's values to all ranks meanwhile.
  void start_gather();
  /// Returns when the values of all buckets that hold parameters of a stage are right.
  void wait_for_stage(std::size_t stage);
  void wait_for_all();

  /// Of this rank's own gradients in the last step: how many were not finite, and the first bucket
  /// where that was so (-1: none). With one rank: not counted. Waits for the device.
  struct NonFinite {
    std::uint64_t count = 0;
    int first_bucket = -1;
  };
  NonFinite count_non_finite();
  /// Seconds since the last call that this rank's thread waited for other ranks; and from
  /// begin_step until the device had finished the last leaf's backward (0 with one rank).
  struct Times {
    double exposed = 0;
    double compute = 0;
  };
  Times take_times();

 private:
  const DeviceRow& slot(std::size_t index);
  std::vector<Contributions> contributions(const LeafDeal& deal) const;
  void reserve(const LeafDeal& deal, std::span<const Contributions> rounds);
  void reserve_exchange(std::span<const Contributions> rounds);
  void announce(std::size_t bucket, const Event& ready);
  void wait_until_free(std::size_t block);

  void reduce_all(const std::vector<bool>& publishes);
  void reduce_round(bool publishes, bool is_last);
  void gather_all();
  Event wait_for_announcement(std::size_t bucket);
  template <class Ready>
  void wait_gathered(Ready ready);

  Device& device_;
  Communicator& comm_;
  ReducerOptions options_;
  std::vector<std::vector<Range>> shards_;
  std::vector<int> order_;
  DeviceRows rows_;
  // With several ranks.
  std::optional<Exchange> exchange_;
  std::unique_ptr<Stream> stream_;  // the communication thread's own
  std::unique_ptr<Carrier> carrier_;

  // The main thread's.
  std::vector<std::uint64_t> rounds_;   // in which this rank has leaves, as Exchange counts them
  std::uint64_t num_rounds_ = 0;        // of all steps so far
  std::size_t num_own_leaves_ = 0;      // this rank's
  std::size_t leaf_ = 0;                // of these, the one that is computed
  LeafStack leaves_;                    // this rank's; its slot i is slot i + 1 of rows_
  std::vector<std::size_t> last_adds_;  // slots to be added to the last leaf
  std::size_t num_kept_at_end_ = 0;     // how many slots go to the exchange
  std::future<void> reducing_;
  std::future<void> gathering_;
  Tensor bad_counts_;  // [buckets] i32: of this rank's own gradients, how many are not finite
  double exposed_ = 0;
  double leaf_wait_ = 0;  // of that, within the leaves of this step
  Clock::time_point began_;
  Clock::time_point computed_;

  // Between the threads.
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::optional<Event>> ready_;  // by bucket: gradients complete
  std::vector<bool> is_ready_;
  std::vector<std::optional<Event>> updated_;
  std::vector<bool> is_gathered_;
  bool gather_failed_ = false;
};

}  // namespace motley
