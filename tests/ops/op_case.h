// One description of an op, read by every test and benchmark of it: forward against a
// double-precision reference, backward against finite differences of that reference, bit-equal
// repetition, untouched guard bands, and speed. To add an op: describe it in
// tests/ops/<name>_case.cpp and add a line motley_op_test(<name>) to CMakeLists.txt; a test fails
// for an op of ops.h that no case names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tensor/shape.h"
#include "tensor/stream.h"
#include "tensor/tensor.h"

namespace motley::test {

/// A tensor on the host. Values are doubles that the dtype holds exactly: round inputs to float
/// first.
struct HostTensor {
  Shape shape;
  Dtype dtype = Dtype::f32;
  std::vector<double> values = {};
  /// Whether the model stores it in its activations' dtype: such a tensor is f32, bf16 or f16 (see
  /// OpCase::has_activations). So are a gradient of it and, of the first output, dy.
  bool activation = false;
};

/// What the sizes mean is the case's own business: {N, C} for a norm.
using Sizes = std::vector<std::size_t>;

/// A gradient the backward op computes: of which input, and whether the op adds to what is there.
struct GradientOf {
  std::size_t input = 0;
  bool accumulates = false;
  /// As Problem::depth, of one element of this gradient; 0: the same as Problem::depth.
  double depth = 0;
  /// The same for Problem::stored_roundings.
  double stored_roundings = 0;
};

/// One op at one size, with its data. An op that works in place on its argument is described as one
/// with an input and an output: `run` copies the input to the output first.
struct Problem {
  std::vector<HostTensor> inputs = {};
  /// Shapes and, where the op reads or adds to an output, its contents before; no values: poisoned.
  std::vector<HostTensor> outputs = {};

  /// Runs the op on the device.
  std::function<void(Stream&, std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs)>
      run = nullptr;
  /// Computes the same in double, plainly. `outputs` come with the contents before; where there
  /// were none, with zeros.
  std::function<void(std::vector<HostTensor>& outputs, const std::vector<HostTensor>& inputs)>
      reference = nullptr;
  /// How many rounded operations stand behind one output: the tolerance is a small multiple of
  /// 2^-24 * sqrt(depth) * the output's scale. 0 demands equal bits (any NaN equals any NaN).
  double depth = 1;
  /// An output's or a gradient's scale is its largest expected magnitude, but at least this. Set it
  /// where a few outputs are sums whose terms may cancel: the magnitude such a sum has typically.
  double min_scale = 0;
  /// With activations in bf16 or f16: how many of its roundings an output or a gradient passes on
  /// from what is stored on the way to it, of its scale; that of the result itself is not counted.
  double stored_roundings = 0;

  /// Backward, or null. The loss is sum(dy * outputs[0]); dy is given. `gradients` follow
  /// `gradients_of`.
  std::function<void(Stream&, std::vector<Tensor>& gradients, Tensor& dy,
                     const std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs)>
      run_backward = nullptr;
  std::vector<GradientOf> gradients_of = {};
  /// Whether backward leaves outputs[0] where dy was, to the bit.
  bool dy_becomes_output = false;
  /// The values of dy; none: random. An op that differentiates the sum of its outputs needs ones
  /// here.
  std::vector<double> dy = {};

  /// What one run forward does, for the benchmark.
  double flops = 0;
  double bytes = 0;
  /// What one run backward does; 0: twice the forward.
  double backward_flops = 0;
  double backward_bytes = 0;
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
  /// Whether it is tested with activations in bf16 and f16 too.
  bool has_activations = false;
};

/// Adds a case at program start: `static const Registered registered({...});` in its file.
struct Registered {
  explicit Registered(OpCase op_case);
};
const std::vector<OpCase>& all_cases();

/// `size` values uniform in [-scale, scale], rounded to float; the same for the same `salt`.
std::vector<double> random_values(std::size_t size, std::uint64_t salt, double scale = 1.0);
HostTensor random_tensor(const Shape& shape, std::uint64_t salt, double scale = 1.0);
/// Activations: without values, and random ones.
HostTensor activation(const Shape& shape);
HostTensor random_activation(const Shape& shape, std::uint64_t salt, double scale = 1.0);
/// `size` integers uniform in [0, limit), as the values of an i32 tensor; the same for the same
/// `salt`.
HostTensor random_integers(const Shape& shape, std::uint64_t salt, std::size_t limit);

/// The same problem with activations of this dtype, f32, bf16 or f16. For the latter all real
/// inputs are rounded to it, so that the reference sees what a kernel that rounds weights sees. The
/// bytes of the op shrink as its inputs and outputs do together.
Problem stored_as(Dtype dtype, Problem problem);

}  // namespace motley::test
