#include "tensor/device.h"

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
  return {
      pool_.wrap(std::as_writable_bytes(memory), std::move(owner)), 0, {memory.size()}, Dtype::f32};
}

Tensor Device::zeros(const Shape& shape, Dtype dtype) {
  Tensor tensor(pool_.lease(checked_mul(shape.size(), size_of(dtype))), 0, shape, dtype);
  stream_.fill(tensor);
  return tensor;
}

}  // namespace motley
