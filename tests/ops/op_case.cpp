#include "tests/ops/op_case.h"

#include <utility>

#include "tensor/random.h"

namespace motley::test {
namespace {

constexpr std::uint64_t test_seed = 20240229;

std::vector<OpCase>& registry() {
  static std::vector<OpCase> cases;
  return cases;
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
  return {shape, Dtype::f32, random_values(shape.size(), salt, scale)};
}

HostTensor random_integers(const Shape& shape, std::uint64_t salt, std::size_t limit) {
  const Random random(test_seed, Purpose::test, salt);
  HostTensor tensor{shape, Dtype::i32, std::vector<double>(shape.size())};
  for (std::size_t i = 0; i < tensor.values.size(); ++i) {
    tensor.values[i] = static_cast<double>(random.word(i) % limit);
  }
  return tensor;
}

}  // namespace motley::test
