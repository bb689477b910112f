// The ranks of a real MPI job reach the loss of one rank, and their replicas stay equal bit for
// bit.
#include <gtest/gtest.h>

#include "dist/self_comm.h"
#include "mpi_main.h"
#include "tests/train/tiny_run.h"

namespace motley {
namespace {

class Ranks : public testing::TestWithParam<Family> {};

TEST_P(Ranks, ReachTheLossOfOneRankAfterTwentySteps) {
  const ModelConfig config = GetParam() == Family::gpt2 ? test::tiny_gpt2() : test::tiny_llama();
  SelfComm self;
  test::TinyRun alone(self, config, {.lr = 1e-2});
  test::TinyRun together(world(), config, {.lr = 1e-2});
  double expected = 0;
  double loss = 0;
  for (std::uint64_t step = 0; step < 20; ++step) {
    expected = alone.step(step, test::Data::hashed).loss;
    loss = together.step(step, test::Data::hashed).loss;
  }
  EXPECT_NEAR(loss, expected, 1e-5 * expected);
  test::expect_equal_replicas(world(), together);
}

INSTANTIATE_TEST_SUITE_P(Families, Ranks, testing::Values(Family::gpt2, Family::llama),
                         [](const auto& test) { return std::string(traits_of(test.param).name); });

}  // namespace
}  // namespace motley
