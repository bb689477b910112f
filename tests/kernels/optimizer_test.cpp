// What the optimizers do over many steps; single steps are compared in
// tests/ops/optimizer_case.cpp.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string_view>
#include <vector>

#include "kernels/ops.h"
#include "tensor/device.h"
#include "tensor/half.h"
#include "tests/update_numbers.h"

namespace motley {
namespace {

constexpr std::size_t size = 301;

/// An optimizer with its settings, on the device and in double.
struct Optimizer {
  const char* name;
  void (*update)(Stream&, op::Weights w, Tensor& m, Tensor& v, const Tensor& g, Tensor& control,
                 std::uint64_t step);
  void (*reference)(double& w, double& m, double& v, double g, double step);
};

constexpr op::AdamW adamw_settings{.learning_rate = 0.02f, .weight_decay = 0.01f};
constexpr op::Lion lion_settings{.learning_rate = 0.01f, .weight_decay = 0.01f};
constexpr op::Sgd sgd_settings{.learning_rate = 0.01f, .momentum = 0.9f, .weight_decay = 0.01f};

void adamw_reference(double& w, double& m, double& v, double g, double step) {
  const double beta1 = double{adamw_settings.beta1};
  const double beta2 = double{adamw_settings.beta2};
  const double rate = double{adamw_settings.learning_rate};
  m = beta1 * m + (1 - beta1) * g;
  v = beta2 * v + (1 - beta2) * g * g;
  w *= 1 - rate * double{adamw_settings.weight_decay};
  w -= rate * (m / (1 - std::pow(beta1, step))) /
       (std::sqrt(v / (1 - std::pow(beta2, step))) + double{adamw_settings.epsilon});
}

void lion_reference(double& w, double& m, double&, double g, double) {
  const double beta1 = double{lion_settings.beta1};
  const double beta2 = double{lion_settings.beta2};
  const double rate = double{lion_settings.learning_rate};
  const double direction = beta1 * m + (1 - beta1) * g;
  w *= 1 - rate * double{lion_settings.weight_decay};
  w -= rate * (direction > 0 ? 1 : direction < 0 ? -1 : 0);
  m = beta2 * m + (1 - beta2) * g;
}

void sgd_reference(double& w, double& m, double&, double g, double) {
  const double rate = double{sgd_settings.learning_rate};
  m = double{sgd_settings.momentum} * m + g;
  w *= 1 - rate * double{sgd_settings.weight_decay};
  w -= rate * m;
}

const Optimizer optimizers[] = {
    {"adamw",
     [](Stream& s, op::Weights w, Tensor& m, Tensor& v, const Tensor& g, Tensor& control,
        std::uint64_t step) {
       op::AdamW settings = adamw_settings;
       settings.step = step;
       test::write_numbers(s, control, op::numbers_of(settings));
       op::adamw(s, w, m, v, g, control, settings);
     },
     adamw_reference},
    {"lion",
     [](Stream& s, op::Weights w, Tensor& m, Tensor&, const Tensor& g, Tensor& control,
        std::uint64_t) {
       test::write_numbers(s, control, op::numbers_of(lion_settings));
       op::lion(s, w, m, g, control, lion_settings);
     },
     lion_reference},
    {"sgd",
     [](Stream& s, op::Weights w, Tensor& m, Tensor&, const Tensor& g, Tensor& control,
        std::uint64_t) {
       test::write_numbers(s, control, op::numbers_of(sgd_settings));
       op::sgd(s, w, m, g, control, sgd_settings);
     },
     sgd_reference},
};

/// The minimum of the test problem, element by element within [-1, 1].
double target(std::size_t i) {
  return std::sin(static_cast<double>(i));
}

/// g = 2 (w - target), the gradient of the squared distance.
std::vector<float> gradient_at(const std::vector<float>& w) {
  std::vector<float> g(w.size());
  for (std::size_t i = 0; i < g.size(); ++i) {
    g[i] = static_cast<float>(2 * (static_cast<double>(w[i]) - target(i)));
  }
  return g;
}

double loss_at(const std::vector<float>& w) {
  double loss = 0;
  for (std::size_t i = 0; i < w.size(); ++i) {
    loss += std::pow(static_cast<double>(w[i]) - target(i), 2);
  }
  return loss;
}

class Optimizers : public testing::TestWithParam<KernelFamily> {
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

TEST_P(Optimizers, DescendAQuadratic) {
  Tensor control = upload({1.0f, 0.0f, 0.0f, 0, 0, 0, 0, 0});
  for (const Optimizer& optimizer : optimizers) {
    Tensor w = device.zeros({size});
    Tensor m = device.zeros({size});
    Tensor v = device.zeros({size});
    Tensor g = device.tensor({size});
    const double first = loss_at(download(w));
    double halfway = 0;
    for (std::uint64_t step = 1; step <= 200; ++step) {
      s.write<float>(g, gradient_at(download(w)));
      optimizer.update(s, w, m, v, g, control, step);
      if (step == 100) halfway = loss_at(download(w));
    }
    EXPECT_LT(halfway, 0.5 * first) << optimizer.name;
    EXPECT_LT(loss_at(download(w)), 0.01 * first) << optimizer.name;
  }
}

TEST_P(Optimizers, FollowTheReferenceForTwentySteps) {
  constexpr float factor = 0.125f;
  Tensor control = upload({factor, 3.0f, 0.0f, 0, 0, 0, 0, 0});
  for (const Optimizer& optimizer : optimizers) {
    Tensor w = device.zeros({size});
    Tensor m = device.zeros({size});
    Tensor v = device.zeros({size});
    std::vector<double> w_expected(size);
    std::vector<double> m_expected(size);
    std::vector<double> v_expected(size);
    std::vector<float> gradients(size);
    for (std::uint64_t step = 1; step <= 20; ++step) {
      for (std::size_t i = 0; i < size; ++i) {
        const auto at = static_cast<double>(i * 20 + step);
        gradients[i] = static_cast<float>(target(i) + 0.5 * std::cos(at));
        optimizer.reference(w_expected[i], m_expected[i], v_expected[i],
                            static_cast<double>(factor) * static_cast<double>(gradients[i]),
                            static_cast<double>(step));
      }
      optimizer.update(s, w, m, v, upload(gradients), control, step);
    }
    // Some ten roundings a step, added up at random.
    const double tolerance = 8 * std::sqrt(200.0) / (1 << 24);
    const std::vector<float> w_actual = download(w);
    const std::vector<float> m_actual = download(m);
    for (std::size_t i = 0; i < size; ++i) {
      EXPECT_NEAR(static_cast<double>(w_actual[i]), w_expected[i], tolerance) << optimizer.name;
      EXPECT_NEAR(static_cast<double>(m_actual[i]), m_expected[i], tolerance) << optimizer.name;
    }
  }
}

TEST_P(Optimizers, ANonFiniteGradientChangesNoBit) {
  std::vector<float> gradients(size, 1.0f);
  gradients[7] = std::numeric_limits<float>::quiet_NaN();
  gradients[8] = std::numeric_limits<float>::infinity();
  const Tensor g = upload(gradients);
  // A count of gradients, and a count that itself went wrong.
  for (const float count : {2.0f, std::numeric_limits<float>::quiet_NaN()}) {
    Tensor control = upload({std::numeric_limits<float>::quiet_NaN(), 0.0f, count, 0, 0, 0, 0, 0});
    for (const Optimizer& optimizer : optimizers) {
      Tensor w = upload(std::vector<float>(size, 0.5f));
      Tensor m = upload(std::vector<float>(size, 0.25f));
      Tensor v = upload(std::vector<float>(size, 0.125f));
      optimizer.update(s, w, m, v, g, control, 1);
      EXPECT_EQ(download(w), std::vector<float>(size, 0.5f)) << optimizer.name;
      EXPECT_EQ(download(m), std::vector<float>(size, 0.25f)) << optimizer.name;
      EXPECT_EQ(download(v), std::vector<float>(size, 0.125f)) << optimizer.name;
    }
  }
}

TEST_P(Optimizers, AShardThatStartsAnywhereLeavesItsNeighboursAlone) {
  constexpr std::size_t begin = 3;
  constexpr std::size_t end = 290;
  Tensor control = upload({1.0f, 0.0f, 0.0f, 0, 0, 0, 0, 0});
  const Tensor g = upload(std::vector<float>(end - begin, 1.0f));
  for (const Optimizer& optimizer : optimizers) {
    Tensor block = upload(std::vector<float>(3 * size, 0.5f));
    std::vector<Tensor> shards;
    for (std::size_t at = 0; at < 3; ++at) {
      shards.push_back(block.slice(at * size + begin, at * size + end));
    }
    optimizer.update(s, shards[0], shards[1], shards[2], g, control, 1);
    const std::vector<float> values = download(block);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const bool inside = i % size >= begin && i % size < end;
      const bool has_state = i < 2 * size || std::string_view(optimizer.name) == "adamw";
      EXPECT_EQ(values[i] != 0.5f, inside && has_state) << optimizer.name << " at " << i;
    }
  }
}

/// Weights of bf16 on a device, with what an f32 has beyond them.
struct Halves {
  Halves(Device& device, const std::vector<float>& values)
      : upper(device.tensor({values.size()}, Dtype::bf16)),
        rest(device.tensor({values.size()}, Dtype::u16)) {
    std::vector<std::uint16_t> uppers;
    std::vector<std::uint16_t> rests;
    for (const float value : values) {
      uppers.push_back(split_f32(value).upper);
      rests.push_back(split_f32(value).rest);
    }
    device.stream().write<std::uint16_t>(upper, uppers);
    device.stream().write<std::uint16_t>(rest, rests);
  }
  static std::vector<std::uint16_t> bits(Stream& s, const Tensor& tensor) {
    std::vector<std::uint16_t> values(tensor.size());
    s.read<std::uint16_t>(values, tensor);
    return values;
  }
  std::vector<float> joined(Stream& s) const {
    const std::vector<std::uint16_t> uppers = bits(s, upper);
    const std::vector<std::uint16_t> rests = bits(s, rest);
    std::vector<float> values;
    for (std::size_t i = 0; i < uppers.size(); ++i)
      values.push_back(join_f32({uppers[i], rests[i]}));
    return values;
  }
  Tensor upper;
  Tensor rest;
};

/// Differs from element to element.
std::vector<float> wave(double frequency) {
  std::vector<float> values;
  for (std::size_t i = 0; i < size; ++i)
    values.push_back(static_cast<float>(std::sin(frequency * static_cast<double>(i + 1))));
  return values;
}

TEST_P(Optimizers, WeightsInHalvesChangeAsF32Does) {
  Tensor control = upload({0.5f, 0.0f, 0.0f, 0, 0, 0, 0, 0});
  std::vector<float> start = wave(0.3);
  start[3] = std::bit_cast<float>(0x3F808000u);  // between two bf16
  start[4] = std::bit_cast<float>(0xBF818000u);
  for (const Optimizer& optimizer : optimizers) {
    Tensor whole = upload(start);
    Halves halves(device, start);
    Tensor m[2] = {device.zeros({size}), device.zeros({size})};
    Tensor v[2] = {device.zeros({size}), device.zeros({size})};
    for (std::uint64_t step = 1; step <= 5; ++step) {
      const Tensor g = upload(wave(static_cast<double>(step)));
      optimizer.update(s, whole, m[0], v[0], g, control, step);
      optimizer.update(s, {halves.upper, halves.rest}, m[1], v[1], g, control, step);
      const std::vector<float> expected = download(whole);
      EXPECT_EQ(halves.joined(s), expected) << optimizer.name << ", step " << step;
      const std::vector<std::uint16_t> uppers = Halves::bits(s, halves.upper);
      for (std::size_t i = 0; i < size; ++i)
        ASSERT_EQ(uppers[i], split_f32(expected[i]).upper) << optimizer.name << " at " << i;
    }
  }
}

/// Weights after one SGD step of -2^-10 from 1, whose neighbour in bf16 is 2^-7 above.
std::vector<std::uint16_t> nudged(Device& device, const op::StochasticRounding& rounding,
                                  std::uint32_t step, std::size_t num) {
  Stream& s = device.stream();
  Tensor w = device.tensor({num}, Dtype::bf16);
  s.write<std::uint16_t>(w, std::vector<std::uint16_t>(num, split_f32(1.0f).upper));
  Tensor m = device.zeros({num});
  Tensor g = device.tensor({num});
  s.write<float>(g, std::vector<float>(num, -1.0f));
  Tensor control = device.tensor({op::control_size});
  s.write<float>(control, std::vector<float>{1, 0, 0, 0, 0, 0, 0, 0});
  op::UpdateNumbers numbers = op::numbers_of(op::Sgd{.learning_rate = 0x1p-10f});
  numbers.step = step;
  test::write_numbers(s, control, numbers);
  op::sgd(s, {w, rounding}, m, g, control, {});
  return Halves::bits(s, w);
}

TEST_P(Optimizers, RoundingAtRandomKeepsTheMean) {
  constexpr std::size_t num = 40000;
  const op::StochasticRounding rounding{.random = Random(7, Purpose::rounding), .first = 64};
  const std::vector<std::uint16_t> rounded = nudged(device, rounding, 5, num);
  const std::uint16_t one = split_f32(1.0f).upper;
  std::size_t num_up = 0;
  for (const std::uint16_t bits : rounded) {
    ASSERT_TRUE(bits == one || bits == one + 1) << bits;
    num_up += bits - one;
  }
  // An eighth of them, off by at most five standard deviations.
  EXPECT_NEAR(static_cast<double>(num_up), num / 8.0, 5 * std::sqrt(num * 7.0 / 64));
}

TEST_P(Optimizers, RoundingAtRandomIsByNumberStepAndKey) {
  constexpr std::size_t num = 4200;
  op::StochasticRounding rounding{.random = Random(7, Purpose::rounding), .first = 128};
  const std::vector<std::uint16_t> rounded = nudged(device, rounding, 5, num);
  EXPECT_EQ(nudged(device, rounding, 5, num), rounded);
  EXPECT_NE(nudged(device, rounding, 6, num), rounded);
  // As the definition has it.
  for (std::size_t i = 0; i < num; ++i) {
    const std::uint64_t number = rounding.first + i;
    const PhiloxBlock words = Random(7, Purpose::rounding, 5).block(number / 64 * 16 + number % 16);
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(1.0f + 0x1p-10f);
    const auto expected = static_cast<std::uint16_t>((bits + (words[number / 16 % 4] >> 16)) >> 16);
    ASSERT_EQ(rounded[i], expected) << i;
  }
  // A shard of them, elsewhere.
  rounding.first += 4096;
  EXPECT_NE(nudged(device, rounding, 5, num), rounded);
  rounding.first -= 4096 - 64;
  const std::vector<std::uint16_t> later = nudged(device, rounding, 5, num - 64);
  EXPECT_TRUE(std::equal(later.begin(), later.end(), rounded.begin() + 64));
  const op::StochasticRounding other{.random = Random(8, Purpose::rounding), .first = 128};
  EXPECT_NE(nudged(device, other, 5, num), rounded);
}

TEST_P(Optimizers, RefuseHalvesThatCannotBe) {
  Tensor control = upload({1.0f, 0.0f, 0.0f, 0, 0, 0, 0, 0});
  Tensor w = device.zeros({4});
  Tensor half = device.zeros({4}, Dtype::bf16);
  Tensor rest = device.zeros({4}, Dtype::u16);
  Tensor m = device.zeros({4});
  const Tensor g = device.zeros({4});
  EXPECT_THROW(op::sgd(s, half, m, g, control, {}), ShapeError) << "no rest";
  EXPECT_THROW(op::sgd(s, {w, rest}, m, g, control, {}), ShapeError) << "f32 has no rest";
  EXPECT_THROW(op::sgd(s, {half, m}, m, g, control, {}), ShapeError) << "a rest is u16";
  const op::StochasticRounding odd{.random = Random(0, Purpose::rounding), .first = 32};
  EXPECT_THROW(op::sgd(s, {half, odd}, m, g, control, {}), ShapeError) << "not a multiple of 64";
}

TEST_P(Optimizers, RefuseWhatCannotBe) {
  Tensor control = upload({1.0f, 0.0f, 0.0f, 0, 0, 0, 0, 0});
  Tensor w = device.zeros({4});
  Tensor m = device.zeros({4});
  Tensor v = device.zeros({4});
  const Tensor g = device.zeros({4});
  const Tensor longer = device.zeros({5});
  EXPECT_THROW(op::adamw(s, w, m, v, longer, control, {}), ShapeError);
  EXPECT_THROW(op::adamw(s, w, m, v, g, g, {}), ShapeError);
  EXPECT_THROW(op::numbers_of(op::AdamW{.step = 0}), ConfigError);
  EXPECT_THROW(op::numbers_of(op::AdamW{.beta1 = 1.0f}), ConfigError);
  EXPECT_THROW(op::adamw(s, w, m, v, g, control, {.beta2 = 1.0f}), ConfigError);
  EXPECT_THROW(op::adamw(s, w, m, v, g, control, {.epsilon = 0.0f}), ConfigError);
  EXPECT_THROW(op::lion(s, w, m, g, control, {.beta1 = -0.1f}), ConfigError);
  EXPECT_THROW(op::sgd(s, w, m, g, control, {.momentum = std::nanf("")}), ConfigError);
}

INSTANTIATE_TEST_SUITE_P(Families, Optimizers,
                         testing::Values(KernelFamily::cpu, KernelFamily::gpu),
                         [](const auto& family) {
                           return family.param == KernelFamily::cpu ? "cpu" : "gpu";
                         });

}  // namespace
}  // namespace motley
