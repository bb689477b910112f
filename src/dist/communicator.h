// A fixed group of ranks and what they can do together. Every collective is called by all ranks, in
// the same order and with matching sizes, from one thread at a time; none may stand under a
// condition that can differ between ranks, in a destructor or in a signal handler.
//
// Implementations: SelfComm (one process), ThreadComm (ranks are threads, for tests), MpiComm.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dist/range.h"

namespace motley {

/// Who a rank is: among all ranks, and among those on its own host.
struct RankIdentity {
  int rank = 0;
  int size = 1;
  int local_rank = 0;
  int local_size = 1;
  int node = 0;  // the lowest rank on the same host: two hosts may bear one name
  std::string host = {};
};

/// All collectives work on host memory and throw CommError when a message cannot be exchanged and
/// ShapeError when the arguments do not fit together.
class Communicator {
 public:
  virtual ~Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  int rank() const { return identity_.rank; }
  int size() const { return identity_.size; }
  int local_rank() const { return identity_.local_rank; }
  int local_size() const { return identity_.local_size; }
  int node() const { return identity_.node; }
  const std::string& host() const { return identity_.host; }
  /// "rank 2 on node1"
  std::string name() const;

  /// Returns when all ranks have called it.
  void barrier();

  /// `bytes` of `root` replaces that of every other rank. Same size everywhere.
  void broadcast(std::span<std::byte> bytes, int root);
  /// Text of any length; only the root's matters. Returns the root's.
  std::string broadcast_text(std::string_view text, int root);

  /// `all` becomes rank 0's bytes, then rank 1's and so on. `mine` has the same size on every rank
  /// and `all` is size() times as long.
  void all_gather(std::span<std::byte> all, std::span<const std::byte> mine);
  /// One text of any length from each rank, in rank order.
  std::vector<std::string> all_gather_text(std::string_view mine);

  std::int64_t all_reduce_min(std::int64_t value);
  std::int64_t all_reduce_max(std::int64_t value);
  /// Throws ShapeError when the sum does not fit 64 bits.
  std::int64_t all_reduce_sum(std::int64_t value);
  /// Replaces each value by its sum over ranks, added in rank order: the same bits on every rank.
  void all_reduce_sum(std::span<double> values);

  /// Sums over ranks. shards: one range of `values` for each rank, ascending and disjoint, the same
  /// on all ranks; any may be empty. Afterwards values[shards[rank]] holds v0 + v1 + ... in fp32,
  /// added in rank order whatever the network does; the rest of `values` is unspecified.
  void reduce_scatter(std::span<float> values, std::span<const Range> shards);

  /// Copies every rank's own shard of `values` to all ranks. shards as in reduce_scatter, in
  /// elements.
  void all_gather_shards(std::span<float> values, std::span<const Range> shards);
  /// The same for any element type: shards count bytes.
  void all_gather_shards(std::span<std::byte> values, std::span<const Range> shards);

 protected:
  explicit Communicator(RankIdentity identity) : identity_(std::move(identity)) {}
  std::size_t index() const { return static_cast<std::size_t>(identity_.rank); }
  std::size_t count() const { return static_cast<std::size_t>(identity_.size); }

 private:
  virtual void do_barrier() = 0;
  virtual void do_broadcast(std::span<std::byte> bytes, int root) = 0;
  virtual void do_reduce_scatter(std::span<float> values, std::span<const Range> shards) = 0;
  virtual void do_all_gather_shards(std::span<std::byte> values, std::span<const Range> shards) = 0;

  std::vector<std::int64_t> all_gather_int(std::int64_t value);
  void check_shards(std::size_t num_values, std::span<const Range> shards) const;

  RankIdentity identity_;
};

/// out[i] = sources[0][i] + sources[1][i] + ..., in that order, in fp32. `out` may be one of the
/// sources.
void add_in_order(std::span<float> out, std::span<const float* const> sources);

}  // namespace motley
