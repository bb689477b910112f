// Our products against CLBlast's. Slow: CLBlast compiles for most of a minute on a CPU.
#include <gtest/gtest.h>

#include "tests/kernels/gemm_test.h"

namespace motley {
namespace {

using op::Into;
using op::Transpose;

TEST(GemmOracle, ClblastAgreesInEveryBit) {
  Device cpu = open_poisoned(KernelFamily::cpu);
  Device gpu = open_poisoned(KernelFamily::gpu);
  const std::vector<ExactProduct> products = {
      {33, 45, 29, Transpose::none, Into::replace, true},
      {50, 27, 64, Transpose::b, Into::accumulate, true},
      {31, 66, 40, Transpose::a, Into::accumulate, false},
  };
  for (const ExactProduct& p : products) {
    const std::vector<float> expected = multiply(gpu, op::clblast_gemm(), p);
    EXPECT_EQ(multiply(cpu, op::packed_gemm(), p), expected) << "packed, " << to_string(p);
    EXPECT_EQ(multiply(gpu, op::tiled_gemm(), p), expected) << "tiled, " << to_string(p);
  }
}

}  // namespace
}  // namespace motley
