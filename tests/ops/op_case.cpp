#include "tests/ops/op_case.h"

#include <utility>

#include "tensor/half.h"
#include "tensor/random.h"

namespace motley::test {
namespace {

constexpr std::uint64_t test_seed = 20240229;

std::vector<OpCase>& registry() {
  static std::vector<OpCase> cases;
  return cases;
}

double rounded_to(Dtype dtype, double value) {
  const auto wide = static_cast<float>(value);
  return static_cast<double>(dtype == Dtype::bf16 ? f32_from_bf16(bf16_from_f32(wide))
                                                  : f32_from_f16(f16_from_f32(wide)));
}

/// Of all inputs and outputs.
double bytes_of(const Problem& problem) {
  std::size_t bytes = 0;
  for (const std::vector<HostTensor>* tensors : {&problem.inputs, &problem.outputs}) {
    for (const HostTensor& tensor : *tensors) bytes += tensor.shape.size() * size_of(tensor.dtype);
  }
  return static_cast<double>(bytes);
}

}  // namespace

Registered::Registered(OpCase op_case) {
  registry().push_back(std::move(op_case));
}

const std::vector<OpCase>& all_cases() {
  return registry();
}

std::vector<double> random_values(std::size_t size, std::uint64_t salt, double scale) {
  const Random random(test_seed, Purpose::test, salt);
  std::vector<double> values(size);
  for (std::size_t i = 0; i < size; ++i) {
    const double unit = 2.0 * static_cast<double>(random.uniform(i)) - 1.0;
    values[i] = static_cast<double>(static_cast<float>(scale * unit));
  }
  return values;
}

HostTensor random_tensor(const Shape& shape, std::uint64_t salt, double scale) {
  return {.shape = shape, .values = random_values(shape.size(), salt, scale)};
}

HostTensor activation(const Shape& shape) {
  return {.shape = shape, .activation = true};
}

HostTensor random_activation(const Shape& shape, std::uint64_t salt, double scale) {
  HostTensor tensor = random_tensor(shape, salt, scale);
  tensor.activation = true;
  return tensor;
}

HostTensor random_integers(const Shape& shape, std::uint64_t salt, std::size_t limit) {
  const Random random(test_seed, Purpose::test, salt);
  HostTensor tensor{
      .shape = shape, .dtype = Dtype::i32, .values = std::vector<double>(shape.size())};
  for (std::size_t i = 0; i < tensor.values.size(); ++i) {
    tensor.values[i] = static_cast<double>(random.word(i) % limit);
  }
  return tensor;
}

Problem stored_as(Dtype dtype, Problem problem) {
  if (dtype == Dtype::f32) return problem;
  const double bytes_before = bytes_of(problem);
  for (std::vector<HostTensor>* tensors : {&problem.inputs, &problem.outputs}) {
    for (HostTensor& tensor : *tensors) {
      if (tensor.dtype != Dtype::f32) continue;
      for (double& value : tensor.values) value = rounded_to(dtype, value);
      if (tensor.activation) tensor.dtype = dtype;
    }
  }
  for (double& value : problem.dy) value = rounded_to(dtype, value);
  const double shrink = bytes_before > 0 ? bytes_of(problem) / bytes_before : 1;
  problem.bytes *= shrink;
  problem.backward_bytes *= shrink;
  return problem;
}

}  // namespace motley::test
