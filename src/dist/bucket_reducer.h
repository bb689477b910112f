// Sums gradients over ranks bucket by bucket, and hands updated parameters to all ranks. Each
// element has one owner, which alone updates it: replicas stay equal bit for bit even on unlike
// devices.
#pragma once

#include <cstddef>
#include <vector>

#include "dist/communicator.h"
#include "tensor/stream.h"
#include "tensor/tensor.h"

namespace motley {

/// A group of parameters that is reduced as one: its gradients and its values, f32, of equal size,
/// each in memory of its own.
struct Bucket {
  Tensor gradient;
  Tensor parameters;
};

/// One step: backward calls on_bucket_ready(i) for every bucket, finish() sums; the trainer updates
/// the parameters in owned(i) from the gradient there; gather_parameters(i) brings them to all
/// ranks.
///
/// Communication here is blocking: finish() does all of it, in the order of the buckets. With one
/// rank nothing is exchanged and owned(i) is the whole bucket. Not thread-safe; uses `stream` from
/// the caller's thread. Throws ShapeError for calls out of order, CommError when a message cannot
/// be exchanged.
class BucketReducer {
 public:
  /// comm and stream must outlive this object. The buckets' sizes must be the same on all ranks.
  BucketReducer(Communicator& comm, Stream& stream, std::vector<Bucket> buckets);

  std::size_t num_buckets() const { return buckets_.size(); }
  /// Who owns what of a bucket: one range of elements for each rank.
  const std::vector<Range>& shards(std::size_t bucket) const { return shards_.at(bucket); }
  /// This rank's part of a bucket.
  Range owned(std::size_t bucket) const {
    return shards(bucket)[static_cast<std::size_t>(comm_->rank())];
  }

  /// The bucket's gradient is complete as far as the stream is concerned: everything that adds to
  /// it has been enqueued. Once per bucket and step, in any order, the same on all ranks.
  void on_bucket_ready(std::size_t bucket);
  /// Returns when owned(i) of every gradient holds the sum over ranks, added in rank order; what is
  /// outside is unspecified (with one rank: untouched). Throws ShapeError unless every bucket is
  /// ready.
  void finish();
  /// Replaces the bucket's parameters outside owned(bucket) by their owners' values.
  void gather_parameters(std::size_t bucket);

 private:
  void reduce(std::size_t bucket);

  Communicator* comm_;
  Stream* stream_;
  std::vector<Bucket> buckets_;
  std::vector<std::vector<Range>> shards_;
  std::vector<bool> is_ready_;
  std::vector<float> staging_;  // a bucket in host memory, where the device has its own
};

}  // namespace motley
