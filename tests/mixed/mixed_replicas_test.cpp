// Replicas on two OpenCL platforms hold the same bits: rank 0 computes on PoCL with the kernels for
// GPUs, rank 1 on Oclgrind with those for CPUs, and so each rounds its own way. (The other way
// round takes minutes: Oclgrind interprets every work-item.)
#include <gtest/gtest.h>

#include <string>

#include "tests/dist/mpi_main.h"
#include "tests/train/tiny_run.h"

namespace motley {
namespace {

using test::TinyRun;

DeviceInfo device_of(const std::string& platform) {
  for (const DeviceInfo& device : list_devices()) {
    if (device.platform == platform) return device;
  }
  throw EnvironmentError("device.none",
                         "no device of " + platform + " is shown by OCL_ICD_VENDORS");
}

TinyRun::Place place_of(int rank) {
  if (rank % 2 == 0) return {device_of("Portable Computing Language"), KernelFamily::gpu};
  return {device_of("Oclgrind"), KernelFamily::cpu};
}

class MixedReplicas : public testing::TestWithParam<const char*> {};

TEST_P(MixedReplicas, HoldTheSameBits) {
  const bool is_gpt2 = std::string(GetParam()) == "gpt2";
  const ModelConfig model = is_gpt2 ? test::tiny_gpt2() : test::tiny_llama();
  TinyRun run(world(), model, {.lr = 1e-2}, {}, place_of(world().rank()));
  const auto start = run.values();
  for (std::uint64_t step = 0; step < 3; ++step) {
    const StepResult result = run.step(step, test::Data::hashed);
    EXPECT_EQ(result.non_finite, 0u);
  }
  EXPECT_NE(run.values(), start);
  test::expect_equal_replicas(world(), run);
}

INSTANTIATE_TEST_SUITE_P(Families, MixedReplicas, testing::Values("gpt2", "llama"),
                         [](const auto& row) { return row.param; });

}  // namespace
}  // namespace motley
