// Runs every registered case, for both kernel families, on the first OpenCL device. With --oclgrind
// the tiny sizes meant for Oclgrind are run instead of the test sizes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <set>
#include <string_view>

#include "tensor/random.h"
#include "tests/ops/closeness.h"
#include "tests/ops/op_run.h"

namespace motley::test {
namespace {

// Tolerances are this many standard deviations of a random walk of `depth` roundings.
constexpr double tolerance_factor = 8;
// A step of central differences in double: truncation (step^2) and rounding (2^-53 / step) are both
// far below a float's precision.
constexpr double difference_step = 1.0 / 65536;
// How many multiplications of the reference the finite differences of one gradient may cost.
constexpr double difference_budget = 2e7;
constexpr std::size_t min_sampled = 12;

bool use_oclgrind_sizes = false;

struct Row {
  const OpCase* op_case;
  Sizes sizes;
  KernelFamily family;
  Dtype stored;  // activations
};

void PrintTo(const Row& row, std::ostream* out) {
  *out << row.op_case->name << " sizes";
  for (const std::size_t size : row.sizes) *out << ' ' << size;
  *out << (row.family == KernelFamily::cpu ? " with cpu kernels" : " with gpu kernels")
       << ", activations in " << name_of(row.stored);
}

std::vector<Row> all_rows() {
  std::vector<Row> rows;
  for (const OpCase& op_case : all_cases()) {
    for (const Sizes& sizes : use_oclgrind_sizes ? op_case.oclgrind_sizes : op_case.test_sizes) {
      for (const KernelFamily family : {KernelFamily::cpu, KernelFamily::gpu}) {
        rows.push_back({&op_case, sizes, family, Dtype::f32});
        if (!op_case.has_activations) continue;
        for (const Dtype dtype : {Dtype::bf16, Dtype::f16})
          rows.push_back({&op_case, sizes, family, dtype});
      }
    }
  }
  return rows;
}

std::string row_name(const testing::TestParamInfo<Row>& info) {
  std::string name = info.param.op_case->name;
  for (const std::size_t size : info.param.sizes) name += fmt::format("_{}", size);
  name += info.param.family == KernelFamily::cpu ? "_cpu" : "_gpu";
  if (info.param.stored == Dtype::f32) return name;
  return fmt::format("{}_{}", name, name_of(info.param.stored));
}

/// One device a family for the whole program, so that each kernel is built once.
class Devices {
 public:
  Devices() {
    require<EnvironmentError>(!list_.empty(), "device.none", "{}", explain_no_devices());
  }
  Device& operator[](KernelFamily family) {
    std::unique_ptr<Device>& device = family == KernelFamily::cpu ? cpu_ : gpu_;
    const DeviceSettings settings{.family = family, .fresh_memory = FreshMemory::poison};
    if (!device) device = std::make_unique<Device>(list_.front(), settings);
    return *device;
  }

 private:
  std::vector<DeviceInfo> list_ = list_devices();
  std::unique_ptr<Device> cpu_;
  std::unique_ptr<Device> gpu_;
};

/// Made by the first test and released by main: OpenCL libraries may be gone when statics are
/// destroyed.
std::unique_ptr<Devices> devices;

Device& device_for(KernelFamily family) {
  if (!devices) devices = std::make_unique<Devices>();
  return (*devices)[family];
}

/// The distance from one number of this dtype to the next, relative to the number.
double unit_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::f32:
      return std::ldexp(1.0, -24);
    case Dtype::f16:
      return std::ldexp(1.0, -11);
    case Dtype::bf16:
      return std::ldexp(1.0, -8);
    default:
      return 0;
  }
}

/// How far a tensor of this dtype may be off: its kernel computes in f32 and rounds once. Of what
/// was rounded to `stored` on the way, stored_roundings pass through.
struct Tolerance {
  double depth;
  double min_scale;
  double stored_roundings = 0;
  Dtype dtype = Dtype::f32;
  Dtype stored = Dtype::f32;
};

Tolerance tolerance_of(const Problem& problem, double depth, double stored_roundings, Dtype dtype) {
  const auto stored = std::find_if(
      problem.inputs.begin(), problem.inputs.end(),
      [](const HostTensor& input) { return input.activation && input.dtype != Dtype::f32; });
  if (stored == problem.inputs.end()) return {depth, problem.min_scale, 0, dtype};
  return {depth, problem.min_scale, stored_roundings, dtype, stored->dtype};
}

/// Compares elements `at` of actual with expected (both of the whole tensor).
void expect_close(const std::vector<double>& actual, const std::vector<double>& expected,
                  const std::vector<std::size_t>& at, const Tolerance& tolerance,
                  std::string_view what) {
  double scale = tolerance.min_scale;
  for (const std::size_t i : at) {
    if (std::isfinite(expected[i])) scale = std::max(scale, std::abs(expected[i]));
  }
  const double allowed =
      scale * (tolerance_factor * unit_of(Dtype::f32) * std::sqrt(tolerance.depth) +
               tolerance.stored_roundings * unit_of(tolerance.stored));
  const double rounding = tolerance.dtype == Dtype::f32 ? 0 : unit_of(tolerance.dtype);
  std::size_t worst = 0;
  double worst_error = -1;
  for (const std::size_t i : at) {
    const double error = error_of(actual[i], expected[i], rounding);
    if (error > worst_error) {
      worst = i;
      worst_error = error;
    }
  }
  if (at.empty()) return;
  EXPECT_LE(worst_error, allowed) << what << ": the worst element is " << worst << " of "
                                  << actual.size() << ", it is " << actual[worst]
                                  << " and should be " << expected[worst] << " (scale " << scale
                                  << ", depth " << tolerance.depth << ")";
}

void expect_same_bits(const Bytes& actual, const Bytes& expected, Dtype dtype,
                      std::string_view what) {
  if (actual == expected) return;
  const std::size_t element = size_of(dtype);
  const std::vector<double> a = decode(actual, dtype);
  const std::vector<double> e = decode(expected, dtype);
  for (std::size_t i = 0; i < e.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(e[i])) continue;
    if (std::memcmp(actual.data() + i * element, expected.data() + i * element, element) == 0)
      continue;
    ADD_FAILURE() << what << ": element " << i << " of " << e.size() << " is " << a[i]
                  << " and should be " << e[i] << ", bit for bit";
    return;
  }
}

std::vector<std::size_t> all_of(std::size_t size) {
  std::vector<std::size_t> list(size);
  for (std::size_t i = 0; i < size; ++i) list[i] = i;
  return list;
}

/// All elements when there are few, else a fixed random choice with the first and the last.
std::vector<std::size_t> sample_of(std::size_t size, std::size_t wanted) {
  if (size <= wanted) return all_of(size);
  const Random random(7, Purpose::test, size);
  std::set<std::size_t> chosen{0, size - 1};
  for (std::uint64_t i = 0; chosen.size() < wanted; ++i) chosen.insert(random.word(i) % size);
  return {chosen.begin(), chosen.end()};
}

/// The contents before a run as the reference sees them.
std::vector<HostTensor> outputs_before(const Problem& problem) {
  std::vector<HostTensor> outputs = problem.outputs;
  for (HostTensor& t : outputs) t.values.resize(t.shape.size());
  return outputs;
}

/// d sum(dy * outputs[0]) / d inputs[input][element] by central differences of the reference.
double difference(const Problem& problem, const std::vector<double>& dy,
                  std::vector<HostTensor>& inputs, std::size_t input, std::size_t element) {
  double& x = inputs[input].values[element];
  const double before = x;
  const double step = difference_step * std::max(1.0, std::abs(before));
  std::vector<HostTensor> up = outputs_before(problem);
  std::vector<HostTensor> down = up;
  x = before + step;
  problem.reference(up, inputs);
  x = before - step;
  problem.reference(down, inputs);
  x = before;
  // Differences first: an output that does not depend on x contributes an exact zero.
  double total = 0;
  for (std::size_t i = 0; i < dy.size(); ++i)
    total += dy[i] * (up[0].values[i] - down[0].values[i]);
  return total / (2 * step);
}

double reference_cost(const Problem& problem) {
  double cost = problem.flops;
  for (const HostTensor& t : problem.inputs)
    cost = std::max(cost, static_cast<double>(t.shape.size()));
  for (const HostTensor& t : problem.outputs)
    cost = std::max(cost, static_cast<double>(t.shape.size()));
  return cost + 100;
}

class Op : public testing::TestWithParam<Row> {
 protected:
  Device& device() { return device_for(GetParam().family); }
  OpRun prepare() {
    const Row& row = GetParam();
    return {device(), stored_as(row.stored, row.op_case->make(row.sizes))};
  }
};

TEST_P(Op, ForwardMatchesReference) {
  OpRun run = prepare();
  const Problem& problem = run.problem();
  run.forward();
  const std::vector<Bytes> actual = run.read_outputs();
  std::vector<HostTensor> expected = outputs_before(problem);
  problem.reference(expected, problem.inputs);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const std::string what = "output " + std::to_string(i);
    const Dtype dtype = expected[i].dtype;
    if (problem.depth == 0) {
      expect_same_bits(actual[i], encode(expected[i]), dtype, what);
    } else {
      expect_close(decode(actual[i], dtype), expected[i].values, all_of(expected[i].values.size()),
                   tolerance_of(problem, problem.depth, problem.stored_roundings, dtype), what);
    }
  }
}

TEST_P(Op, ForwardRepeatsItsBitsAndStaysInBounds) {
  OpRun run = prepare();
  run.forward();
  const std::vector<Bytes> first = run.read_outputs();
  EXPECT_EQ(run.find_damage(), "");
  run.reset();
  run.forward();
  EXPECT_EQ(run.read_outputs(), first) << "the second run gave other bits";
}

TEST_P(Op, BackwardMatchesFiniteDifferences) {
  OpRun run = prepare();
  const Problem& problem = run.problem();
  if (!problem.run_backward) return;
  run.forward();
  run.backward();
  const std::vector<Bytes> actual = run.read_gradients();
  std::vector<HostTensor> inputs = problem.inputs;
  for (std::size_t g = 0; g < actual.size(); ++g) {
    const GradientOf& gradient = problem.gradients_of[g];
    const std::size_t size = inputs[gradient.input].shape.size();
    const double affordable = difference_budget / reference_cost(problem);
    const auto at = sample_of(size, std::max(min_sampled, static_cast<std::size_t>(affordable)));
    std::vector<double> expected = run.gradients_before()[g].values;
    expected.resize(size);
    for (const std::size_t i : at) {
      expected[i] += difference(problem, run.dy(), inputs, gradient.input, i);
    }
    const double depth = gradient.depth > 0 ? gradient.depth : problem.depth;
    const double stored_roundings =
        gradient.stored_roundings > 0 ? gradient.stored_roundings : problem.stored_roundings;
    const Dtype dtype = problem.inputs[gradient.input].dtype;
    expect_close(decode(actual[g], dtype), expected, at,
                 tolerance_of(problem, depth, stored_roundings, dtype),
                 "gradient of input " + std::to_string(gradient.input));
  }
}

TEST_P(Op, BackwardRepeatsItsBitsAndStaysInBounds) {
  OpRun run = prepare();
  if (!run.problem().run_backward) return;
  run.forward();
  const std::vector<Bytes> outputs = run.read_outputs();
  run.backward();
  const std::vector<Bytes> first = run.read_gradients();
  EXPECT_EQ(run.find_damage(), "");
  EXPECT_EQ(run.read_outputs(), outputs) << "backward changed what forward saved";
  run.reset_backward();
  run.backward();
  EXPECT_EQ(run.read_gradients(), first) << "the second run gave other bits";
}

INSTANTIATE_TEST_SUITE_P(Cases, Op, testing::ValuesIn(all_rows()), row_name);

}  // namespace
}  // namespace motley::test

int main(int argc, char** argv) {
  motley::test::use_oclgrind_sizes =
      std::find(argv, argv + argc, std::string_view("--oclgrind")) != argv + argc;
  testing::InitGoogleTest(&argc, argv);
  const int result = RUN_ALL_TESTS();
  motley::test::devices.reset();
  return result;
}
