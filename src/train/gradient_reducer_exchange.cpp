// The communication thread's side of GradientReducer.
#include "train/gradient_reducer.h"

namespace motley {

/// The event that says when the bucket's gradients are complete, once it has been announced.
Event GradientReducer::wait_for_announcement(std::size_t bucket) {
  std::optional<Event> ready;
  comm_.recorder().begin("wait for the device", static_cast<int>(bucket));
  wait_for_device(comm_, *exchange_, [&] {
    const std::lock_guard lock(mutex_);
    ready = ready_[bucket];
    return ready.has_value();
  });
  comm_.recorder().end();
  return *ready;
}

void GradientReducer::reduce_all(const std::vector<bool>& publishes) {
  for (std::size_t round = 0; round < publishes.size(); ++round) {
    exchange_->begin_round();
    reduce_round(publishes[round], round + 1 == publishes.size());
  }
  carrier_->finish_reduce();
}

/// A rank without a leaf in the round has nothing to publish but adds what others have.
void GradientReducer::reduce_round(bool publishes, bool is_last) {
  const bool in_rounds = dealing() == Dealing::rounds;
  if (!options_.overlap && !in_rounds) {
    const Event last = wait_for_announcement(num_buckets() - 1);
    wait_for_device(comm_, *exchange_, [&] { return last.is_done(); });
  }
  const auto start = [&](std::size_t bucket) {
    Rounded rounded = Rounded::no;
    if (publishes) {
      const Event ready = wait_for_announcement(carrier_->last_needed(bucket));
      rounded = carrier_->publish(bucket, ready);
      const std::lock_guard lock(mutex_);
      ready_[bucket].reset();  // what comes next is another leaf's
    }
    exchange_->start_reduce(bucket, carrier_->adder(), rounded);
  };
  const auto finish = [&](std::size_t bucket) {
    exchange_->finish_reduce(bucket);
    carrier_->release(bucket);
    exchange_->release(bucket);
    if (is_last) carrier_->collect(bucket);
  };
  // What backward waits for may not wait for backward: see ring_places.
  Exchange::pipeline(num_buckets(), start, finish,
                     in_rounds ? ring_places - 1 : Exchange::max_under_way);
}

void GradientReducer::gather_all() {
  const auto take = [&](const Range& part, std::span<const std::byte> values) {
    carrier_->take(part, values);
  };
  // The next forward needs the buckets in this order.
  const auto at = [&](std::size_t i) { return num_buckets() - 1 - i; };
  const auto start = [&](std::size_t i) {
    carrier_->offer(at(i), *updated_[at(i)]);
    exchange_->start_gather(at(i));
  };
  const auto finish = [&](std::size_t i) {
    exchange_->finish_gather(at(i), take);
    const Range gathered = carrier_->finish_gather(at(i));
    const std::lock_guard lock(mutex_);
    for (std::size_t b = gathered.begin; b < gathered.end; ++b) is_gathered_[b] = true;
    changed_.notify_all();
  };
  Exchange::pipeline(num_buckets(), start, finish);
}

}  // namespace motley
