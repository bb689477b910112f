// Activations where a comparison by the largest output would see nothing: in the tails, and far
// out, where a careless formula gives infinity or not a number.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "kernels/ops.h"
#include "tensor/device.h"

namespace motley {
namespace {

// A few roundings relative to the input, which bounds the output.
constexpr double tolerance = 16.0 / (1 << 24);

struct Activation {
  const char* name;
  double (*value)(double);
  double (*slope)(double);
  void (*forward)(Stream&, Tensor& y, const Tensor& x);
  void (*backward)(Stream&, Tensor& x, Tensor& dy);
};

double sigmoid(double x) {
  return 1 / (1 + std::exp(-x));
}

double gelu_inner(double x) {
  return std::sqrt(8 / std::numbers::pi) * (x + 0.044715 * x * x * x);
}
double gelu_tanh(double x) {
  return x * sigmoid(gelu_inner(x));
}
double gelu_tanh_slope(double x) {
  const double s = sigmoid(gelu_inner(x));
  return s + x * s * (1 - s) * std::sqrt(8 / std::numbers::pi) * (1 + 3 * 0.044715 * x * x);
}

double normal_cdf(double x) {
  return 0.5 * std::erfc(-x / std::numbers::sqrt2);
}
double gelu_erf(double x) {
  return x * normal_cdf(x);
}
double gelu_erf_slope(double x) {
  return normal_cdf(x) + x * std::exp(-0.5 * x * x) / std::sqrt(2 * std::numbers::pi);
}

const Activation activations[] = {
    {"gelu_tanh", gelu_tanh, gelu_tanh_slope,
     [](Stream& s, Tensor& y, const Tensor& x) { op::gelu(s, y, x, op::Gelu::tanh); },
     [](Stream& s, Tensor& x, Tensor& dy) { op::gelu_backward(s, x, dy, op::Gelu::tanh); }},
    {"gelu_erf", gelu_erf, gelu_erf_slope,
     [](Stream& s, Tensor& y, const Tensor& x) { op::gelu(s, y, x, op::Gelu::erf); },
     [](Stream& s, Tensor& x, Tensor& dy) { op::gelu_backward(s, x, dy, op::Gelu::erf); }},
};

/// From -12 to 12 closely, and far beyond. No denormals: they are read as zero.
std::vector<float> test_inputs() {
  std::vector<float> values;
  for (const float x : {0.0f, 1e-30f, 20.0f, 80.0f, 88.0f, 100.0f, 1e4f, 1e15f}) {
    values.insert(values.end(), {x, -x});
  }
  for (int i = -3072; i <= 3072; ++i) values.push_back(static_cast<float>(i) / 256.0f);
  return values;
}

class Activations : public testing::TestWithParam<KernelFamily> {
 protected:
  Device device{list_devices().at(0), {.family = GetParam(), .fresh_memory = FreshMemory::poison}};
  Stream& s = device.stream();

  Tensor upload(const std::vector<float>& values) {
    Tensor tensor = device.tensor({values.size()});
    s.write<float>(tensor, values);
    return tensor;
  }
  std::vector<float> download(const Tensor& tensor) {
    std::vector<float> values(tensor.size());
    s.read<float>(values, tensor);
    return values;
  }
};

TEST_P(Activations, GeluAndItsSlopeHoldFarOut) {
  const std::vector<float> inputs = test_inputs();
  Tensor result = device.tensor({inputs.size()});
  for (const Activation& activation : activations) {
    Tensor x = upload(inputs);
    Tensor dy = upload(std::vector<float>(inputs.size(), 1.0f));
    activation.forward(s, result, x);
    const std::vector<float> y = download(result);
    activation.backward(s, x, dy);
    const std::vector<float> dx = download(x);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const auto at = static_cast<double>(inputs[i]);
      const double value = activation.value(at);
      const double slope = activation.slope(at);
      EXPECT_LE(std::abs(static_cast<double>(y[i]) - value), tolerance * std::abs(at))
          << activation.name << "(" << at << ") is " << y[i] << ", not " << value;
      EXPECT_LE(std::abs(static_cast<double>(dx[i]) - slope), tolerance)
          << activation.name << "'(" << at << ") is " << dx[i] << ", not " << slope;
    }
  }
}

TEST_P(Activations, SwigluAndItsSlopeHoldFarOut) {
  const std::vector<float> gates = test_inputs();
  const std::size_t N = gates.size();
  std::vector<float> rows;
  for (const float gate : gates) rows.insert(rows.end(), {gate, 1.0f});
  Tensor gate_up = upload(rows).reshape({N, 2});
  Tensor dy = upload(std::vector<float>(N, 1.0f)).reshape({N, 1});
  Tensor y = device.tensor({N, 1});
  op::swiglu(s, y, gate_up);
  op::swiglu_backward(s, gate_up, dy);
  const std::vector<float> values = download(y);
  const std::vector<float> gradients = download(gate_up);
  for (std::size_t i = 0; i < N; ++i) {
    const auto gate = static_cast<double>(gates[i]);
    const double sigma = sigmoid(gate);
    const double slope = sigma * (1 + gate * sigmoid(-gate));
    EXPECT_LE(std::abs(static_cast<double>(values[i]) - gate * sigma), tolerance * std::abs(gate));
    EXPECT_LE(std::abs(static_cast<double>(gradients[2 * i]) - slope), tolerance) << gate;
    EXPECT_EQ(gradients[2 * i + 1], values[i]) << "with dy = up = 1, dup is y";
  }
}

TEST_P(Activations, OfTheLargestNumbersAreFinite) {
  const float largest = std::numeric_limits<float>::max();
  Tensor result = device.tensor({2});
  for (const Activation& activation : activations) {
    Tensor x = upload({largest, -largest});
    Tensor dy = upload({1.0f, 1.0f});
    activation.forward(s, result, x);
    for (const float y : download(result)) EXPECT_TRUE(std::isfinite(y)) << activation.name;
    activation.backward(s, x, dy);
    for (const float d : download(x)) EXPECT_TRUE(std::isfinite(d)) << activation.name;
  }
}

TEST_P(Activations, NotANumberStaysOne) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  Tensor result = device.tensor({2});
  for (const Activation& activation : activations) {
    Tensor x = upload({nan, 1.0f});
    Tensor dy = upload({1.0f, 1.0f});
    activation.forward(s, result, x);
    EXPECT_TRUE(std::isnan(download(result)[0])) << activation.name;
    EXPECT_FALSE(std::isnan(download(result)[1])) << activation.name;
    activation.backward(s, x, dy);
    EXPECT_TRUE(std::isnan(download(x)[0])) << activation.name << " backward";
  }
}

TEST_P(Activations, BitsDoNotDependOnThePlaceInARow) {
  const std::vector<float> inputs(4096 + 37, 0.7182818f);
  const Tensor x = upload(inputs);
  Tensor y = device.tensor({inputs.size()});
  for (const Activation& activation : activations) {
    activation.forward(s, y, x);
    const std::vector<float> values = download(y);
    for (const float value : values) ASSERT_EQ(value, values[0]) << activation.name;
  }
}

TEST_P(Activations, RefuseShapesThatDoNotFit) {
  Tensor y = device.zeros({2, 3});
  const Tensor gate_up = device.zeros({2, 5});
  EXPECT_THROW(op::swiglu(s, y, gate_up), ShapeError);
  EXPECT_THROW(op::gelu(s, y, gate_up, op::Gelu::tanh), ShapeError);
  EXPECT_THROW(op::gelu(s, y, Tensor(), op::Gelu::tanh), ShapeError);
}

INSTANTIATE_TEST_SUITE_P(Families, Activations,
                         testing::Values(KernelFamily::cpu, KernelFamily::gpu),
                         [](const auto& family) {
                           return family.param == KernelFamily::cpu ? "cpu" : "gpu";
                         });

}  // namespace
}  // namespace motley
