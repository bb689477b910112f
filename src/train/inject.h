// Makes faults happen, to see how a job takes them: a test aid that is part of the program, so that
// what is tested is what runs.
#pragma once

#include <cstdint>
#include <vector>

#include "dist/communicator.h"
#include "tensor/clock.h"
#include "tensor/stream.h"
#include "tensor/tensor.h"
#include "train/faults.h"
#include "train/train_step.h"

namespace motley {

/// One rank's faults, at the moments of a step at which they happen. Does nothing without faults.
class Injector {
 public:
  /// Keeps those of `faults` that are for this rank.
  Injector(const std::vector<Fault>& faults, int rank);

  /// Puts nan and slow into the steps of `train`, which must not outlive this object.
  void attach(TrainStep& train);
  /// kill, stop and drop_link happen here: call when a step begins.
  void before_step(Communicator& comm, std::uint64_t step);
  /// flip_bit happens here: call after the update. A value of another owner is changed, because an
  /// owner's wrong value would reach all ranks and make no difference between them.
  void after_update(TrainStep& train);

 private:
  bool has(FaultKind kind) const;  // in this step
  void before_leaf();
  void after_leaf(Stream& s);
  void on_gradients(Stream& s, const Tensor& gradients);

  std::vector<Fault> faults_;
  std::uint64_t step_ = 0;
  double slow_factor_ = 1;
  // slow measures a leaf, for which it waits for the device, and sleeps before the next.
  double leaf_seconds_ = 0;  // of the last leaf, without what slow added
  Clock::time_point leaf_began_;
};

}  // namespace motley
