#include "model/batch.h"

#include "tensor/error.h"

namespace motley {
namespace {

Tensor upload(Device& device, std::span<const std::int32_t> values) {
  Tensor tensor = device.tensor({values.size()}, Dtype::i32);
  device.stream().write(tensor, values);
  return tensor;
}

}  // namespace

DeviceBatch upload_batch(Device& device, std::size_t B, std::size_t T,
                         std::span<const std::int32_t> tokens,
                         std::span<const std::int32_t> targets, const HostTokenIndex& index) {
  require<ShapeError>(tokens.size() == B * T && targets.size() == B * T, "batch.size",
                      "a batch of {} x {} was given {} tokens and {} targets", B, T, tokens.size(),
                      targets.size());
  return {
      B,
      T,
      upload(device, tokens),
      upload(device, targets),
      {upload(device, index.rows), upload(device, index.starts), upload(device, index.positions)}};
}

}  // namespace motley
