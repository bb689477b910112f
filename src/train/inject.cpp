#include "train/inject.h"

#include <bit>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <string_view>
#include <thread>

#include "tensor/log.h"

namespace motley {
namespace {

// In the middle of the mantissa: a change that no sum hides and no check for finite values sees.
constexpr std::uint16_t flipped_bit = 1u << 12;
constexpr std::uint32_t not_a_number = 0x7fc00000u;

/// The rank's log says what was done on purpose, so that nobody looks for another reason.
void announce(std::string_view what, std::uint64_t step) {
  log::warn("injected at step {}: {}", step, what);
  log::flush();
}

/// Never returns; the thread neither works nor answers.
[[noreturn]] void stand_still() {
  std::mutex mutex;
  std::condition_variable never;
  std::unique_lock lock(mutex);
  for (;;) never.wait(lock);
}

}  // namespace

Injector::Injector(const std::vector<Fault>& faults, int rank) {
  for (const Fault& fault : faults) {
    if (fault.rank == rank) faults_.push_back(fault);
  }
}

bool Injector::has(FaultKind kind) const {
  for (const Fault& fault : faults_) {
    if (fault.kind == kind && fault.step == step_) return true;
  }
  return false;
}

void Injector::attach(TrainStep& train) {
  if (faults_.empty()) return;
  Stream& s = train.device().stream();
  train.set_hooks({.before_leaf = [this] { before_leaf(); },
                   .after_leaf = [this, &s] { after_leaf(s); },
                   .on_gradients =
                       [this, &s, &train](std::size_t bucket) {
                         if (bucket == 0)
                           on_gradients(s, train.params().buckets().front().gradients);
                       }});
}

void Injector::before_step(Communicator& comm, std::uint64_t step) {
  step_ = step;
  if (has(FaultKind::kill)) {
    announce("kill", step);
    std::raise(SIGKILL);
  }
  if (has(FaultKind::stop)) {
    announce("stop", step);
    std::raise(SIGSTOP);
  }
  if (has(FaultKind::drop_link)) {
    announce("drop-link", step);
    // What was posted before is still done; the thread does nothing else any more.
    (void)comm.post([] { stand_still(); });
  }
  for (const Fault& fault : faults_) {
    if (fault.kind != FaultKind::slow || fault.step != step) continue;
    announce(fmt::format("slow={}x", fault.factor), step);
    slow_factor_ = fault.factor;
  }
}

void Injector::before_leaf() {
  if (slow_factor_ > 1) {
    std::this_thread::sleep_for(std::chrono::duration<double>((slow_factor_ - 1) * leaf_seconds_));
  }
  leaf_began_ = Clock::now();
}

void Injector::after_leaf(Stream& s) {
  if (slow_factor_ <= 1) return;
  s.finish();
  leaf_seconds_ = seconds_since(leaf_began_);
}

void Injector::on_gradients(Stream& s, const Tensor& gradients) {
  if (!has(FaultKind::nan)) return;
  announce("nan in bucket 0", step_);
  Tensor first = gradients.slice(0, 1);
  s.fill(first, not_a_number);
}

void Injector::after_update(TrainStep& train) {
  if (!has(FaultKind::flip_bit)) return;
  announce("flip-bit in bucket 0", step_);
  const ParamBucket& bucket = train.params().buckets().front();
  const Range owned = train.reducer().owned(0);
  const bool owns_first = owned.begin == bucket.begin && !owned.empty();
  const std::size_t foreign = owns_first && owned.end < bucket.end ? owned.end - bucket.begin : 0;
  Stream& s = train.device().stream();
  if (bucket.values.dtype() == Dtype::f32) {
    const HostView<float> view = s.map<float>(bucket.values, Access::read_write);
    float& value = view.span()[foreign];
    value = std::bit_cast<float>(std::bit_cast<std::uint32_t>(value) ^ flipped_bit);
  } else {
    const HostView<std::uint16_t> view = s.map<std::uint16_t>(bucket.values, Access::read_write);
    view.span()[foreign] ^= flipped_bit;
  }
}

}  // namespace motley
