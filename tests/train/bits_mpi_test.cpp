// The same bits on one rank and on those of a real MPI job, however leaves are divided.
#include <gtest/gtest.h>

#include "dist/self_comm.h"
#include "mpi_main.h"
#include "tests/train/bits.h"

namespace motley {
namespace {

using test::Bits;
using test::Split;

class SameBits : public testing::TestWithParam<Family> {};

TEST_P(SameBits, UnderMpi) {
  const ModelConfig config = GetParam() == Family::gpt2 ? test::tiny_gpt2() : test::tiny_llama();
  SelfComm self;
  for (const Split split : {Split::even, Split::uneven}) {
    Device& device = test::device_of(0);
    const Bits alone = test::train_for_bits(device, self, config, split);
    const Bits together = test::train_for_bits(device, world(), config, split);
    test::expect_same_bits(together, alone, world().name());
    const Bits sharded = test::train_for_bits(device, world(), config, split,
                                              {.reducer = {.shard_gradients = true}});
    test::expect_same_bits(sharded, alone, world().name() + ", gradients sharded");
  }
}

INSTANTIATE_TEST_SUITE_P(Families, SameBits, testing::Values(Family::gpt2, Family::llama),
                         [](const auto& test) { return std::string(traits_of(test.param).name); });

}  // namespace
}  // namespace motley
