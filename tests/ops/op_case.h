// One description of an op, read by every test and benchmark of it: forward against a double-precision
// reference, backward against finite differences of that reference, bit-equal repetition, untouched
// guard bands, and speed. To add an op: describe it in tests/ops/<name>_case.cpp and list the file in
// CMakeLists.txt; a test fails for an op of ops.h that no case names.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "tensor/shape.h"
#include "tensor/stream.h"
#include "tensor/tensor.h"

namespace motley::test {

/// A tensor on the host. Values are doubles that the dtype holds exactly: round inputs to float first.
struct HostTensor {
  Shape shape;
  Dtype dtype = Dtype::f32;
  std::vector<double> values;
};

/// What the sizes mean is the case's own business: {N, C} for a norm.
using Sizes = std::vector<std::size_t>;

/// A gradient the backward op computes: of which input, and whether the op adds to what is there.
struct GradientOf {
  std::size_t input = 0;
  bool accumulates = false;
};

/// One op at one size, with its data.
struct Problem {
  std::vector<HostTensor> inputs;
  /// Shapes and, where the op reads or adds to an output, its contents before; no values: poisoned.
  std::vector<HostTensor> outputs;

  /// Runs the op on the device.
  std::function<void(Stream&, std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs)> run;
  /// Computes the same in double, plainly. `outputs` come with the contents before.
  std::function<void(std::vector<HostTensor>& outputs, const std::vector<HostTensor>& inputs)> reference;
  /// How many rounded operations stand behind one output: the tolerance is a small multiple of
  /// 2^-24 * sqrt(depth) * the output's scale. 0 demands equal bits.
  double depth = 1;

  /// Backward, or null. The loss is sum(dy * outputs[0]); dy is given. `gradients` follow `gradients_of`.
  std::function<void(Stream&, std::vector<Tensor>& gradients, const Tensor& dy,
                     const std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs)>
      run_backward;
  std::vector<GradientOf> gradients_of;

  /// What one run does, for the benchmark.
  double flops = 0;
  double bytes = 0;
};

struct OpCase {
  std::string name;
  /// The functions of ops.h this case covers.
  std::vector<std::string> ops;
  std::vector<Sizes> test_sizes;
  /// Tiny sizes for Oclgrind, which is some thousand times slower.
  std::vector<Sizes> oclgrind_sizes;
  std::vector<Sizes> bench_sizes;
  std::function<Problem(const Sizes&)> make;
};

/// Adds a case at program start: `static const Registered registered({...});` in its file.
struct Registered {
  explicit Registered(OpCase op_case);
};
const std::vector<OpCase>& all_cases();

/// `size` values uniform in [-scale, scale], rounded to float; the same for the same `salt`.
std::vector<double> random_values(std::size_t size, std::uint64_t salt, double scale = 1.0);
HostTensor random_tensor(const Shape& shape, std::uint64_t salt, double scale = 1.0);

}  // namespace motley::test
