#include "train/same_matrix_unit.h"

#include <gtest/gtest.h>

#include "dist/thread_comm.h"
#include "kernels/matrix_unit.h"
#include "tests/train/tiny_training.h"

namespace motley {
namespace {

TEST(SameMatrixUnit, OfAllThatHaveItIsUsed) {
  run_ranks(2, [](Communicator& comm) {
    Device device(list_devices().at(0), {.family = KernelFamily::cpu});
    use_same_matrix_unit(comm, device);
    ASSERT_TRUE(device.matrix_unit().has_value());
    EXPECT_TRUE(op::is_offered(device.info(), *device.matrix_unit()));
  });
}

TEST(SameMatrixUnit, IsUsedByNoneWhereOneDoesWithout) {
  run_ranks(3, [](Communicator& comm) {
    Device device(list_devices().at(0),
                  {.family = KernelFamily::cpu, .matrix_units = comm.rank() != 1});
    use_same_matrix_unit(comm, device);
    EXPECT_EQ(device.matrix_unit(), MatrixUnit::none);
  });
}

TEST(SameMatrixUnit, IsAnotherMatterForOtherDevices) {
  run_ranks(2, [](Communicator& comm) {
    DeviceInfo info = list_devices().at(0);
    if (comm.rank() == 1) info.name = "another";
    Device device(info, {.family = KernelFamily::cpu, .matrix_units = comm.rank() == 0});
    device.set_matrix_unit(comm.rank() == 0 ? MatrixUnit::avx512_bf16 : MatrixUnit::none);
    use_same_matrix_unit(comm, device);
    EXPECT_EQ(device.matrix_unit(), comm.rank() == 0 ? MatrixUnit::avx512_bf16 : MatrixUnit::none);
  });
}

}  // namespace
}  // namespace motley
