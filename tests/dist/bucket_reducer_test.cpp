// Buckets on a real device, for devices that share the host's memory and for those that do not.
#include "dist/bucket_reducer.h"

#include <gtest/gtest.h>

#include <numeric>

#include "dist/placement.h"
#include "mpi_main.h"
#include "tensor/device.h"

namespace motley {
namespace {

enum class Memory { unified, separate };

/// PoCL shares the host's memory; calling it a device of its own exercises the other path.
Device open_device(Memory memory) {
  static const Placement placement = place(world());
  DeviceInfo info = list_devices().at(0);
  info.unified_memory = memory == Memory::unified;
  return Device(info);
}

Tensor upload(Device& device, const std::vector<float>& values) {
  Tensor tensor = device.tensor({values.size()});
  device.stream().write<float>(tensor, values);
  return tensor;
}

std::vector<float> download(Device& device, const Tensor& tensor) {
  std::vector<float> values(tensor.size());
  device.stream().read<float>(values, tensor);
  return values;
}

class Reducer : public testing::TestWithParam<Memory> {};

TEST_P(Reducer, SumsGradientsAndGathersParametersOverSeveralSteps) {
  Communicator& comm = world();
  Device device = open_device(GetParam());
  const std::vector<std::size_t> sizes = {1, 64, 65, 1000, 4097};
  std::vector<Bucket> buckets;
  for (const std::size_t n : sizes) {
    buckets.push_back(
        {upload(device, std::vector<float>(n)), upload(device, std::vector<float>(n))});
  }
  BucketReducer reducer(comm, device.stream(), buckets);
  ASSERT_EQ(reducer.num_buckets(), sizes.size());
  const float rank_sum = static_cast<float>(comm.size() * (comm.size() + 1) / 2);
  for (int step = 1; step <= 3; ++step) {
    for (std::size_t i = sizes.size(); i-- > 0;) {
      std::vector<float> gradient(sizes[i]);
      std::iota(gradient.begin(), gradient.end(), 0.0f);
      for (float& g : gradient) g *= static_cast<float>((comm.rank() + 1) * step);
      device.stream().write<float>(buckets[i].gradient, gradient);
      reducer.on_bucket_ready(i);
    }
    reducer.finish();
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      const Range own = reducer.owned(i);
      const std::vector<float> gradient = download(device, buckets[i].gradient);
      std::vector<float> parameters = download(device, buckets[i].parameters);
      for (std::size_t j = own.begin; j < own.end; ++j) {
        ASSERT_EQ(gradient[j], static_cast<float>(j) * rank_sum * static_cast<float>(step));
        parameters[j] += gradient[j];
      }
      device.stream().write<float>(buckets[i].parameters, parameters);
      reducer.gather_parameters(i);
      const std::vector<float> gathered = download(device, buckets[i].parameters);
      const float factor = rank_sum * static_cast<float>(step * (step + 1) / 2);
      for (std::size_t j = 0; j < sizes[i]; ++j)
        ASSERT_EQ(gathered[j], static_cast<float>(j) * factor);
    }
  }
}

TEST_P(Reducer, RefusesCallsOutOfOrder) {
  Device device = open_device(GetParam());
  const Tensor t = device.zeros({4});
  BucketReducer reducer(world(), device.stream(), {{t, device.zeros({4})}, {t, device.zeros({4})}});
  EXPECT_THROW(reducer.finish(), ShapeError);
  reducer.on_bucket_ready(1);
  EXPECT_THROW(reducer.on_bucket_ready(1), ShapeError);
  EXPECT_THROW(reducer.on_bucket_ready(2), ShapeError);
  EXPECT_THROW(reducer.finish(), ShapeError);
  reducer.on_bucket_ready(0);
  reducer.finish();
}

TEST_P(Reducer, RefusesBucketsThatDoNotFit) {
  Device device = open_device(GetParam());
  EXPECT_THROW(BucketReducer(world(), device.stream(), {{device.zeros({4}), device.zeros({5})}}),
               ShapeError);
}

INSTANTIATE_TEST_SUITE_P(Memories, Reducer, testing::Values(Memory::unified, Memory::separate),
                         [](const auto& row) {
                           return row.param == Memory::unified ? "Unified" : "Separate";
                         });

}  // namespace
}  // namespace motley
