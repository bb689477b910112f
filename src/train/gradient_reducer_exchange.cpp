// The communication thread's side of GradientReducer.
#include <algorithm>

#include "train/gradient_reducer.h"

namespace motley {

/// Messages of earlier buckets move on meanwhile: MPI works only when it is called.
template <class Done>
void GradientReducer::wait_for_device(Done done) {
  comm_.wait_until([&] { return done() || exchange_->progress(); });
  comm_.wait_until(done, Backoff::For::device);
}

void GradientReducer::wait_for_bucket(std::size_t bucket) {
  comm_.recorder().begin("wait for the device", static_cast<int>(bucket));
  wait_for_device([&] {
    std::optional<Event> ready;
    {
      const std::lock_guard lock(mutex_);
      ready = ready_[bucket];
    }
    return ready.has_value() && ready->is_done();
  });
  comm_.recorder().end();
}

/// Brings this rank's sums of a bucket to where the ranks of its host see them.
void GradientReducer::publish(std::size_t bucket) {
  const Range range{layout_.buckets[bucket].begin, layout_.buckets[bucket].end};
  const std::size_t peer = exchange_->my_peer();
  if (!is_shared_)
    stream_->read<float>(part_of(exchange_->gradients({peer, 0}), range),
                         part_of(gradients_, range));
  for (std::size_t i = 0; i < num_kept_at_end_ && !is_shared_; ++i)
    stream_->read<float>(part_of(exchange_->gradients({peer, i + 1}), range),
                         part_of(slots_[i], range));
}

void GradientReducer::collect(std::size_t bucket) {
  exchange_->finish_reduce(bucket);
  const Range range = owned(bucket);
  if (is_shared_ || range.empty()) return;
  Tensor sum = part_of(gradients_, range);
  stream_->write<float>(sum, part_of(exchange_->gradients({exchange_->my_peer(), 0}), range));
}

void GradientReducer::reduce_all() {
  if (!options_.overlap) wait_for_bucket(num_buckets() - 1);
  const auto start = [&](std::size_t bucket) {
    wait_for_bucket(bucket);
    publish(bucket);
    exchange_->start_reduce(bucket, *adder_);
  };
  Exchange::pipeline(num_buckets(), start, [&](std::size_t bucket) { collect(bucket); });
}

void GradientReducer::gather_all() {
  const auto take = [&](const Range& part, std::span<const float> values) {
    if (!is_shared_) {
      Tensor to = part_of(values_, part);
      return stream_->write<float>(to, values);
    }
    const std::span<float> to = part_of(exchange_->values(exchange_->my_peer()), part);
    if (to.data() != values.data()) std::copy(values.begin(), values.end(), to.begin());
  };
  // The next forward needs the buckets in this order.
  const auto at = [&](std::size_t i) { return num_buckets() - 1 - i; };
  const auto start = [&](std::size_t i) {
    wait_for_device([&] { return updated_[at(i)]->is_done(); });
    const Range range = owned(at(i));
    if (!is_shared_ && !range.empty())
      stream_->read<float>(part_of(exchange_->values(exchange_->my_peer()), range),
                           part_of(values_, range));
    exchange_->start_gather(at(i));
  };
  const auto finish = [&](std::size_t i) {
    exchange_->finish_gather(at(i), take);
    const std::lock_guard lock(mutex_);
    is_gathered_[at(i)] = true;
    changed_.notify_all();
  };
  Exchange::pipeline(num_buckets(), start, finish);
}

}  // namespace motley
