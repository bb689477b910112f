// The same bits on 1 to 8 ranks, however leaves are divided, where ranks are threads on one host or
// on several.
#include "tests/train/bits.h"

#include <gtest/gtest.h>

#include <tuple>

#include "dist/self_comm.h"
#include "dist/thread_comm.h"

namespace motley {
namespace {

using test::Bits;
using test::Split;

class SameBits : public testing::TestWithParam<std::tuple<Family, Split>> {};

TEST_P(SameBits, OnAnyNumberOfRanks) {
  const auto [family, split] = GetParam();
  const ModelConfig config = family == Family::gpt2 ? test::tiny_gpt2() : test::tiny_llama();
  SelfComm self;
  const Bits alone = test::train_for_bits(test::device_of(0), self, config, split);
  RecordProperty("xxh3", alone.parameters);
  for (const int num_ranks : {1, 2, 3, 4, 5, 6, 8}) {
    for (const int ranks_per_host : {0, 2}) {
      if (num_ranks <= ranks_per_host) continue;  // one host again
      run_ranks(
          num_ranks,
          [&, split = split](Communicator& comm) {
            Device& device = test::device_of(comm.rank());
            const Bits bits = test::train_for_bits(device, comm, config, split);
            test::expect_same_bits(
                bits, alone,
                fmt::format("{} of {}, {} on a host", comm.name(), num_ranks, ranks_per_host));
          },
          ranks_per_host);
    }
  }
}

TEST_P(SameBits, WithActivationsInHalves) {
  const auto [family, split] = GetParam();
  const ModelConfig config = family == Family::gpt2 ? test::tiny_gpt2() : test::tiny_llama();
  const test::Training trainings[] = {
      {.steps = 8, .dtype = Dtype::bf16},
      {.steps = 8, .dtype = Dtype::bf16, .stochastic_rounding = true},
      {.steps = 8, .dtype = Dtype::f16}};
  for (const test::Training& training : trainings) {
    SelfComm self;
    const Bits alone = test::train_for_bits(test::device_of(0), self, config, split, training);
    for (const int num_ranks : {2, 3}) {
      run_ranks(num_ranks, [&, split = split](Communicator& comm) {
        Device& device = test::device_of(comm.rank());
        const Bits bits = test::train_for_bits(device, comm, config, split, training);
        test::expect_same_bits(
            bits, alone,
            fmt::format("{} of {} in {}{}", comm.name(), num_ranks, name_of(training.dtype),
                        training.stochastic_rounding ? ", rounded at random" : ""));
      });
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, SameBits,
                         testing::Combine(testing::Values(Family::gpt2, Family::llama),
                                          testing::Values(Split::even, Split::uneven)),
                         test::name_of_case);

}  // namespace
}  // namespace motley
