// A Problem on a device: its tensors between guard bands, its runs, and their results on the host.
// Tests and the benchmark share it.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "tensor/device.h"
#include "tests/ops/op_case.h"

namespace motley::test {

using Bytes = std::vector<unsigned char>;

/// Values as the dtype's bytes. Throws nothing: values that do not fit are the case's fault.
Bytes encode(const HostTensor& tensor);
/// A dtype's bytes as doubles.
std::vector<double> decode(const Bytes& bytes, Dtype dtype);

/// A device tensor that starts at an odd element of a larger allocation and is fenced by NaNs on
/// both sides, so that a write outside shows in the fence and a read outside shows in the result.
class GuardedTensor {
 public:
  GuardedTensor(Device& device, const Shape& shape, Dtype dtype);
  /// Sets contents and fences; empty `bytes` poison the contents.
  void write(Stream& s, const Bytes& bytes);
  /// The contents.
  Bytes read(Stream& s) const;
  /// Whether the fences are as write() left them.
  bool fences_hold(Stream& s) const;
  Tensor& tensor() { return tensor_; }

 private:
  Bytes read_block(Stream& s) const;
  Tensor block_;   // the whole allocation as bytes
  Tensor tensor_;  // the part an op sees
  std::size_t begin_ = 0;
};

/// A Problem's tensors on a device, and its two runs.
class OpRun {
 public:
  OpRun(Device& device, Problem problem);

  const Problem& problem() const { return problem_; }
  /// What each gradient holds before backward: random values where it accumulates, else nothing.
  const std::vector<HostTensor>& gradients_before() const { return gradients_before_; }
  const std::vector<double>& dy() const { return dy_.values; }

  /// Sets all tensors to what they hold before a run.
  void reset();
  /// The same for those that backward changes.
  void reset_backward();
  void forward();
  void backward();
  std::vector<Bytes> read_outputs();
  std::vector<Bytes> read_gradients();
  /// Names the tensors whose fences were written to, and the inputs that were changed; where
  /// backward should have made the output again, whether it did. "" when all is well.
  std::string find_damage();

 private:
  Device& device_;
  Problem problem_;
  HostTensor dy_;
  std::vector<HostTensor> gradients_before_;
  std::vector<GuardedTensor> inputs_;
  std::vector<GuardedTensor> outputs_;
  std::vector<GuardedTensor> gradients_;
  std::vector<GuardedTensor> dy_tensor_;  // one, or none without a backward
  bool backward_ran_ = false;             // since the last reset
  std::vector<Tensor> input_views_;
  std::vector<Tensor> output_views_;
  std::vector<Tensor> gradient_views_;
};

}  // namespace motley::test
