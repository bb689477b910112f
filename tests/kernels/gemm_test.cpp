#include "kernels/gemm.h"

#include <gtest/gtest.h>

#include "kernels/matrix_unit.h"
#include "tests/kernels/gemm_test.h"

namespace motley {
namespace {

using op::Into;
using op::Transpose;

TEST(Gemm, OwnProvidersAgreeInEveryBit) {
  Device cpu = open_poisoned(KernelFamily::cpu);
  Device gpu = open_poisoned(KernelFamily::gpu);
  const std::vector<ExactProduct> products = {
      {1, 1, 1, Transpose::none, Into::replace, true},
      {13, 33, 17, Transpose::none, Into::replace, true},
      {12, 32, 600, Transpose::none, Into::accumulate, true},
      {64, 65, 16, Transpose::a, Into::replace, false},
      {41, 29, 530, Transpose::a, Into::accumulate, true},
      {11, 31, 47, Transpose::b, Into::accumulate, false},
      {67, 130, 128, Transpose::b, Into::replace, true},
      {29, 1060, 1030, Transpose::b, Into::replace, true},
      {25, 1057, 1041, Transpose::none, Into::accumulate, false},
      {1111, 45, 1029, Transpose::a, Into::accumulate, false},
      {5, 9, 0, Transpose::b, Into::replace, true},
  };
  for (const ExactProduct& p : products) {
    const std::vector<float> c = multiply(cpu, op::packed_gemm(), p);
    EXPECT_EQ(c, multiply(gpu, op::tiled_gemm(), p)) << "tiled, " << to_string(p);
  }
}

TEST(Gemm, OwnProvidersOfBf16AgreeInEveryBit) {
  Device cpu = open_poisoned(KernelFamily::cpu);
  Device gpu = open_poisoned(KernelFamily::gpu);
  const bool has_unit = op::is_offered(cpu.info(), MatrixUnit::avx512_bf16);
  const std::vector<ExactProduct> products = {
      {1, 1, 1, Transpose::none, Into::replace, true},
      {13, 33, 17, Transpose::none, Into::replace, true},
      {12, 32, 600, Transpose::none, Into::accumulate, true},
      {64, 65, 16, Transpose::a, Into::replace, false},
      {41, 29, 2131, Transpose::a, Into::accumulate, true},
      {11, 31, 47, Transpose::b, Into::accumulate, false},
      {67, 130, 2178, Transpose::b, Into::replace, true},
      {29, 1060, 2067, Transpose::b, Into::replace, true},
      {25, 1057, 2081, Transpose::none, Into::accumulate, false},
      {5, 9, 0, Transpose::b, Into::replace, true},
  };
  for (const Dtype weights : {Dtype::f32, Dtype::bf16}) {
    for (const Dtype result : {Dtype::f32, Dtype::bf16}) {
      const ProductDtypes dtypes{.a = Dtype::bf16, .b = weights, .c = result};
      for (const ExactProduct& p : products) {
        const auto& plain = op::packed_bf16_gemm(MatrixUnit::none);
        const std::vector<float> c = multiply(cpu, plain, p, dtypes);
        EXPECT_EQ(c, multiply(gpu, op::tiled_gemm(), p, dtypes)) << "tiled, " << to_string(p);
        EXPECT_EQ(c, multiply(cpu, op::emulated_amx_gemm(), p, dtypes)) << "AMX, " << to_string(p);
        if (!has_unit) continue;
        EXPECT_EQ(c, multiply(cpu, op::packed_bf16_gemm(MatrixUnit::avx512_bf16), p, dtypes))
            << "AVX-512, " << to_string(p);
      }
    }
  }
}

/// Sums beyond 2048, which f16 rounds, once; and blocks of 1024 k.
TEST(Gemm, ProvidersOfF16AgreeInEveryBitWithAPlainProduct) {
  Device cpu = open_poisoned(KernelFamily::cpu);
  Device gpu = open_poisoned(KernelFamily::gpu);
  const std::vector<ExactProduct> products = {
      {1, 1, 1, Transpose::none, Into::replace, true},
      {13, 33, 1040, Transpose::none, Into::accumulate, true},
      {64, 65, 16, Transpose::a, Into::replace, false},
      {41, 29, 2131, Transpose::a, Into::accumulate, true},
      {11, 31, 47, Transpose::b, Into::accumulate, false},
      {67, 130, 2178, Transpose::b, Into::replace, true},
      {5, 9, 0, Transpose::b, Into::replace, true},
  };
  for (const ProductDtypes& dtypes : {ProductDtypes{Dtype::f16, Dtype::f32, Dtype::f16},
                                      ProductDtypes{Dtype::f16, Dtype::f16, Dtype::f32}}) {
    for (const ExactProduct& p : products) {
      const std::vector<float> c = expected_product(p, dtypes.c);
      EXPECT_EQ(c, multiply(cpu, op::packed_gemm(), p, dtypes)) << "packed, " << to_string(p);
      EXPECT_EQ(c, multiply(gpu, op::tiled_gemm(), p, dtypes)) << "tiled, " << to_string(p);
    }
  }
}

TEST(Gemm, RefusesBf16AndF16InOneProduct) {
  Device device = open_poisoned(KernelFamily::cpu);
  Tensor c = device.tensor({2, 2});
  const Tensor a = device.tensor({2, 2}, Dtype::bf16);
  const Tensor b = device.tensor({2, 2}, Dtype::f16);
  EXPECT_THROW(op::matmul(device.stream(), c, a, b, Transpose::none, Into::replace), ShapeError);
}

TEST(Gemm, OfF32FactorsIntoBf16RoundsOnce) {
  Device cpu = open_poisoned(KernelFamily::cpu);
  Device gpu = open_poisoned(KernelFamily::gpu);
  const ExactProduct p{13, 33, 70, Transpose::b, Into::replace, true};
  const ProductDtypes dtypes{.a = Dtype::f32, .b = Dtype::f32, .c = Dtype::bf16};
  EXPECT_EQ(multiply(cpu, op::packed_bf16_gemm(MatrixUnit::none), p, dtypes),
            multiply(gpu, op::tiled_gemm(), p, dtypes));
}

TEST(Gemm, OfNothingIsTheBias) {
  for (const KernelFamily family : {KernelFamily::cpu, KernelFamily::gpu}) {
    Device device = open_poisoned(family);
    const ExactProduct empty{3, 20, 0, Transpose::none, Into::replace, true};
    const auto& provider = family == KernelFamily::cpu ? op::packed_gemm() : op::tiled_gemm();
    const std::vector<float> c = multiply(device, provider, empty);
    const std::vector<float> bias = small_integers(20, 3);
    for (std::size_t i = 0; i < c.size(); ++i) EXPECT_EQ(c[i], bias[i % 20]);
  }
}

TEST(Gemm, EachFamilyHasItsProvider) {
  Device cpu = open_poisoned(KernelFamily::cpu);
  Device gpu = open_poisoned(KernelFamily::gpu);
  Tensor c = cpu.tensor({2, 2});
  const op::GemmProblem problem{.c = c,
                                .a = c,
                                .b = c,
                                .bias = nullptr,
                                .M = 2,
                                .N = 2,
                                .K = 2,
                                .transpose = Transpose::none,
                                .into = Into::replace};
  EXPECT_EQ(op::choose_gemm(cpu.stream(), problem).name(), "packed");
  Tensor half = cpu.tensor({2, 2}, Dtype::bf16);
  op::GemmProblem in_bf16{.c = c,
                          .a = half,
                          .b = c,
                          .bias = nullptr,
                          .M = 2,
                          .N = 2,
                          .K = 2,
                          .transpose = Transpose::none,
                          .into = Into::replace};
  EXPECT_TRUE(op::choose_gemm(cpu.stream(), in_bf16).name().starts_with("packed bf16"));
  EXPECT_EQ(op::choose_gemm(gpu.stream(), in_bf16).name(), "tiled");
  half = cpu.tensor({2, 2}, Dtype::f16);
  const op::GemmProblem& in_f16 = in_bf16;  // refers to `half`
  EXPECT_EQ(op::choose_gemm(cpu.stream(), in_f16).name(), "packed");
  EXPECT_EQ(op::choose_gemm(gpu.stream(), in_f16).name(), "tiled") << "units multiply bf16";
  const bool real = gpu.info().kind == DeviceKind::gpu;
  EXPECT_EQ(op::choose_gemm(gpu.stream(), problem).name(), real ? "clblast" : "tiled");
}

TEST(Gemm, ClblastLeavesEmptyAndHugeProductsToOthers) {
  Device device = open_poisoned(KernelFamily::gpu);
  Tensor c = device.tensor({1});
  const auto can_run = [&](std::size_t M, std::size_t N, std::size_t K) {
    return op::clblast_gemm().can_run({.c = c,
                                       .a = c,
                                       .b = c,
                                       .bias = nullptr,
                                       .M = M,
                                       .N = N,
                                       .K = K,
                                       .transpose = Transpose::none,
                                       .into = Into::replace});
  };
  EXPECT_TRUE(can_run(1, 1, 1));
  EXPECT_FALSE(can_run(0, 1, 1));
  EXPECT_FALSE(can_run(1, 0, 1));
  EXPECT_FALSE(can_run(1, 1, 0));
  EXPECT_FALSE(can_run(65536, 32768, 1)) << "2^31 elements";
}

}  // namespace
}  // namespace motley
