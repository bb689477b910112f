// The loss where careless formulas break: huge logits, no targets, one class, targets that are
// none.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/ops.h"
#include "tensor/device.h"

namespace motley {
namespace {

class CrossEntropy : public testing::TestWithParam<KernelFamily> {
 protected:
  struct Result {
    std::vector<float> loss;
    std::vector<float> dx;
    std::vector<float> dw;
  };

  /// With x = [N, 1] of ones, row n's logits are w's only column.
  Result run(const std::vector<float>& w, const std::vector<std::int32_t>& targets) {
    return run(std::vector<float>(targets.size(), 1.0f), w, targets);
  }

  /// x: [N, 1], w: [V, 1]. `scale`: of the gradients; 0: none is given.
  Result run(const std::vector<float>& x_values, const std::vector<float>& w,
             const std::vector<std::int32_t>& targets, float scale = 0) {
    Stream& s = device_.stream();
    Tensor x = device_.tensor({targets.size(), 1});
    Tensor weights = device_.tensor({w.size(), 1});
    Tensor index = device_.tensor({targets.size()}, Dtype::i32);
    s.write<float>(x, x_values);
    s.write<float>(weights, w);
    s.write<std::int32_t>(index, targets);
    Tensor loss = device_.tensor({targets.size()});
    Tensor dx = device_.tensor(x.shape());
    Tensor dw = device_.zeros(weights.shape());
    Tensor factor = device_.tensor({1});
    s.write<float>(factor, std::vector<float>{scale});
    op::linear_cross_entropy_with_gradient(
        s, loss, {.dx = dx, .dw = dw, .scale = scale == 0 ? nullptr : &factor}, x, weights, index);
    Tensor loss_alone = device_.tensor({targets.size()});
    op::linear_cross_entropy(s, loss_alone, x, weights, index);
    Result result{read(loss), read(dx), read(dw)};
    const std::vector<float> alone = read(loss_alone);
    for (std::size_t n = 0; n < alone.size(); ++n) {
      EXPECT_TRUE(alone[n] == result.loss[n] ||
                  (std::isnan(alone[n]) && std::isnan(result.loss[n])))
          << "with and without gradient, row " << n << ": " << result.loss[n] << ", " << alone[n];
    }
    return result;
  }

 private:
  std::vector<float> read(const Tensor& t) {
    std::vector<float> values(t.size());
    device_.stream().read<float>(values, t);
    return values;
  }

  Device device_{list_devices().at(0), {.family = GetParam(), .fresh_memory = FreshMemory::poison}};
};

TEST_P(CrossEntropy, IsExactForLogitsOfPlusAndMinusEighty) {
  std::vector<float> w(35, -80.0f);
  w[3] = 80.0f;
  const Result r = run(w, {3, 34});
  EXPECT_EQ(r.loss[0], 0.0f);
  EXPECT_EQ(r.loss[1], 160.0f);
  EXPECT_EQ(r.dw[3], 1.0f) << "row 0 is certain, row 1 is wrong about it";
  EXPECT_EQ(r.dw[34], -1.0f);
  EXPECT_EQ(r.dx[0], 0.0f);
  EXPECT_EQ(r.dx[1], 160.0f);
}

TEST_P(CrossEntropy, StaysFiniteForLogitsOfAnySize) {
  const Result r = run({1e30f, -1e30f, 0.0f}, {0, 2});
  EXPECT_EQ(r.loss[0], 0.0f);
  EXPECT_EQ(r.loss[1], 1e30f);
  for (const float v : r.dw) EXPECT_TRUE(std::isfinite(v));
}

/// A power of two changes exponents alone.
TEST_P(CrossEntropy, AScaleMultipliesGradientsAndNotTheLoss) {
  std::vector<float> w(37);
  for (std::size_t v = 0; v < w.size(); ++v) w[v] = 0.3f * static_cast<float>(v % 7) - 1;
  const std::vector<float> x{0.5f, -1.25f, 2};
  const std::vector<std::int32_t> targets{36, 4, op::ignored_target};
  const Result plain = run(x, w, targets);
  const Result scaled = run(x, w, targets, 1024);
  EXPECT_EQ(scaled.loss, plain.loss);
  for (std::size_t n = 0; n < x.size(); ++n) EXPECT_EQ(scaled.dx[n], 1024 * plain.dx[n]);
  for (std::size_t v = 0; v < w.size(); ++v) EXPECT_EQ(scaled.dw[v], 1024 * plain.dw[v]);
}

TEST_P(CrossEntropy, OfOneClassIsZero) {
  const Result r = run({7.0f}, {0, 0, op::ignored_target});
  for (const float v : r.loss) EXPECT_EQ(v, 0.0f);
  for (const float v : r.dx) EXPECT_EQ(v, 0.0f);
  EXPECT_EQ(r.dw[0], 0.0f);
}

TEST_P(CrossEntropy, OfEqualLogitsIsTheLogarithmOfTheirNumber) {
  const Result r = run(std::vector<float>(17, -3.0f), {0, 16});
  for (const float v : r.loss) EXPECT_FLOAT_EQ(v, std::log(17.0f));
}

TEST_P(CrossEntropy, IgnoredTargetsGiveNeitherLossNorGradient) {
  const std::int32_t none = op::ignored_target;
  const Result r = run(std::vector<float>(20, 1.5f), {none, none});
  for (const float v : r.loss) EXPECT_EQ(v, 0.0f);
  for (const float v : r.dx) EXPECT_EQ(v, 0.0f);
  for (const float v : r.dw) EXPECT_EQ(v, 0.0f);
}

TEST_P(CrossEntropy, ATargetThatIsNoClassShowsAsNotANumber) {
  const Result r = run(std::vector<float>(20, 1.5f), {20, -2, 0, std::numeric_limits<int>::max()});
  EXPECT_TRUE(std::isnan(r.loss[0]));
  EXPECT_TRUE(std::isnan(r.loss[1]));
  EXPECT_FALSE(std::isnan(r.loss[2]));
  EXPECT_TRUE(std::isnan(r.loss[3]));
  EXPECT_TRUE(std::isnan(r.dx[0]));
  EXPECT_FALSE(std::isnan(r.dx[2]));
}

/// Chunks are cut the same way for both families; here many rows are slow for `gpu` on a CPU.
class CrossEntropyChunks : public CrossEntropy {};

// 64 rows of 131,072 logits fill a chunk of 32 MiB, so this takes three. Only class 0 has a weight,
// which leaves closed forms: row n has the logit x[n] once and 0 otherwise.
TEST_P(CrossEntropyChunks, AreOneLoss) {
  constexpr std::size_t V = 131072;
  constexpr std::size_t N = 130;
  std::vector<float> w(V, 0.0f);
  w[0] = 1.0f;
  std::vector<float> x(N);
  std::vector<std::int32_t> targets(N);
  for (std::size_t n = 0; n < N; ++n) {
    x[n] = static_cast<float>(n) / 8;
    targets[n] = static_cast<std::int32_t>(n % 3 == 0 ? 0 : n * 1000);
  }
  const Result r = run(x, w, targets);
  std::vector<double> dw(V, 0.0);
  // A lane adds up 32 numbers in each of 256 blocks, equal ones, all rounded the same way.
  constexpr double tolerance = (32 + 256) / 16777216.0;
  double shared = 0;  // of all classes that are no target
  for (std::size_t n = 0; n < N; ++n) {
    const double logit = static_cast<double>(x[n]);
    const double total = std::exp(logit) + static_cast<double>(V - 1);
    const bool first = targets[n] == 0;
    EXPECT_NEAR(r.loss[n], std::log(total) - (first ? logit : 0.0), 1e-4) << "row " << n;
    EXPECT_NEAR(r.dx[n], std::exp(logit) / total - (first ? 1.0 : 0.0), tolerance) << "row " << n;
    dw[0] += (std::exp(logit) - 1) / total * logit;
    shared += logit / total;
    dw[static_cast<std::size_t>(targets[n])] -= logit;
  }
  for (std::size_t v = 0; v < V; ++v) {
    ASSERT_NEAR(r.dw[v], dw[v] + shared, tolerance * (std::abs(dw[v]) + shared)) << "class " << v;
  }
}

TEST_P(CrossEntropy, RefusesAVocabularyOfNothing) {
  EXPECT_THROW(run({}, {0}), ShapeError);
}

INSTANTIATE_TEST_SUITE_P(Cpu, CrossEntropyChunks, testing::Values(KernelFamily::cpu));
INSTANTIATE_TEST_SUITE_P(Families, CrossEntropy,
                         testing::Values(KernelFamily::cpu, KernelFamily::gpu),
                         [](const auto& row) {
                           return row.param == KernelFamily::cpu ? "cpu" : "gpu";
                         });

}  // namespace
}  // namespace motley
