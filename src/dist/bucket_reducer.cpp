#include "dist/bucket_reducer.h"

#include "dist/shard_plan.h"
#include "tensor/device.h"
#include "tensor/error.h"

namespace motley {
namespace {

/// Elements [range.begin, range.end) of a tensor, as a view.
Tensor part(const Tensor& tensor, const Range& range) {
  return tensor.flat().slice(range.begin, range.end);
}

void read_part(Stream& s, std::span<float> to, const Tensor& from, const Range& range) {
  if (!range.empty()) s.read<float>(to.subspan(range.begin, range.size()), part(from, range));
}

void write_part(Stream& s, const Tensor& to, std::span<const float> from, const Range& range) {
  if (range.empty()) return;
  Tensor view = part(to, range);
  s.write<float>(view, from.subspan(range.begin, range.size()));
}

}  // namespace

BucketReducer::BucketReducer(Communicator& comm, Stream& stream, std::vector<Bucket> buckets)
    : comm_(&comm),
      stream_(&stream),
      buckets_(std::move(buckets)),
      is_ready_(buckets_.size(), false) {
  for (const Bucket& bucket : buckets_) {
    const Tensor& g = bucket.gradient;
    const Tensor& p = bucket.parameters;
    require<ShapeError>(g.dtype() == Dtype::f32 && p.dtype() == Dtype::f32 && g.size() == p.size(),
                        "dist.bucket",
                        "bucket {}: a gradient of {} {} does not fit parameters of {} {}; both "
                        "must be f32 and of equal size",
                        shards_.size(), g.size(), name_of(g.dtype()), p.size(), name_of(p.dtype()));
    shards_.push_back(bucket_shards(g.size(), static_cast<std::size_t>(comm.size())));
  }
}

void BucketReducer::on_bucket_ready(std::size_t bucket) {
  require<ShapeError>(
      bucket < buckets_.size() && !is_ready_[bucket], "dist.bucket",
      "bucket {} of {} was announced twice in a step or does not exist; backward announces "
      "each bucket once",
      bucket, buckets_.size());
  is_ready_[bucket] = true;
  stream_->flush();  // the device starts on what is enqueued while the host goes on
}

void BucketReducer::finish() {
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    require<ShapeError>(is_ready_[i], "dist.bucket",
                        "bucket {} of {} was not announced before the end of the step", i,
                        buckets_.size());
  }
  is_ready_.assign(buckets_.size(), false);
  if (comm_->size() == 1) return;
  for (std::size_t i = 0; i < buckets_.size(); ++i) reduce(i);
}

void BucketReducer::reduce(std::size_t bucket) {
  const Tensor gradient = buckets_[bucket].gradient.flat();
  if (stream_->device().info().unified_memory) {
    const HostView<float> view = stream_->map<float>(gradient, Access::read_write);
    comm_->reduce_scatter(view.span(), shards(bucket));
    return;
  }
  // Mapping would copy the whole bucket back; only this rank's part has changed in a useful way.
  staging_.resize(gradient.size());
  stream_->read<float>(staging_, gradient);
  comm_->reduce_scatter(staging_, shards(bucket));
  write_part(*stream_, gradient, staging_, owned(bucket));
}

void BucketReducer::gather_parameters(std::size_t bucket) {
  if (comm_->size() == 1) return;
  const Range own = owned(bucket);
  const Tensor parameters = buckets_.at(bucket).parameters.flat();
  if (stream_->device().info().unified_memory) {
    const HostView<float> view = stream_->map<float>(parameters, Access::read_write);
    comm_->all_gather_shards(view.span(), shards(bucket));
    return;
  }
  staging_.resize(parameters.size());
  read_part(*stream_, staging_, parameters, own);
  comm_->all_gather_shards(staging_, shards(bucket));
  write_part(*stream_, parameters, staging_, {0, own.begin});
  write_part(*stream_, parameters, staging_, {own.end, parameters.size()});
}

}  // namespace motley
