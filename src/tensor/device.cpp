#include "tensor/device.h"

#include "tensor/error.h"

namespace motley {
namespace {

cl::Context open_context(const cl::Device& device) {
  cl_int code = CL_SUCCESS;
  cl::Context context(device, nullptr, nullptr, nullptr, &code);
  check_cl(code, "clCreateContext");
  return context;
}

}  // namespace

DeviceSettings default_settings(const DeviceInfo& info) {
  DeviceSettings settings;
  settings.family = info.kind == DeviceKind::gpu ? KernelFamily::gpu : KernelFamily::cpu;
  settings.cache_directory = default_cache_directory();
#ifndef NDEBUG
  settings.fresh_memory = FreshMemory::poison;
#endif
  return settings;
}

Device::Device(const DeviceInfo& info, const DeviceSettings& settings)
    : info_(info),
      settings_(settings),
      context_(open_context(info.handle)),
      pool_(context_, info.max_allocation),
      programs_(context_, info.handle, settings.cache_directory),
      profile_(settings.profiled ? std::make_unique<CommandProfile>() : nullptr),
      stream_(*this) {}

Tensor Device::tensor(const Shape& shape, Dtype dtype) {
  Tensor tensor(pool_.lease(checked_mul(shape.size(), size_of(dtype))), 0, shape, dtype);
  if (poisons_fresh_memory()) stream_.fill(tensor, poison_pattern);
  return tensor;
}

Tensor Device::wrap(std::span<float> memory, std::shared_ptr<const void> owner) {
  return wrap(std::as_writable_bytes(memory), Dtype::f32, std::move(owner));
}

Tensor Device::wrap(std::span<std::byte> memory, Dtype dtype, std::shared_ptr<const void> owner) {
  const std::size_t size = memory.size() / size_of(dtype);
  require<ShapeError>(size * size_of(dtype) == memory.size(), "tensor.wrap",
                      "{} bytes are no whole number of {}", memory.size(), name_of(dtype));
  return {pool_.wrap(memory, std::move(owner)), 0, {size}, dtype};
}

Tensor Device::zeros(const Shape& shape, Dtype dtype) {
  Tensor tensor(pool_.lease(checked_mul(shape.size(), size_of(dtype))), 0, shape, dtype);
  stream_.fill(tensor);
  return tensor;
}

}  // namespace motley
