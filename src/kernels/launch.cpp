#include "kernels/launch.h"

namespace motley::detail {

Dtype StoredFinder::dtype(const KernelInfo& info) const {
  if (first_ == nullptr) return Dtype::f32;
  const Dtype dtype = first_->dtype();
  require<ShapeError>(dtype == Dtype::f32 || dtype == Dtype::bf16, "kernel.dtype",
                      "kernel {}: its tensors are {}, it takes f32 or bf16; convert them first",
                      info.name, name_of(dtype));
  return dtype;
}

void ArgumentSetter::set_buffer(const char* name, const Tensor* tensor, Dtype dtype) {
  const bool given = tensor != nullptr && !tensor->empty();
  require<ShapeError>(!given || tensor->dtype() == dtype, "kernel.dtype",
                      "kernel {}: argument '{}' is {}, the kernel takes {}; convert it first",
                      info_.name, name, name_of(given ? tensor->dtype() : dtype), name_of(dtype));
  cl_mem memory = given ? tensor->mem() : nullptr;
  const cl_ulong offset = given ? tensor->offset() : 0;
  if (given) bytes_ += tensor->bytes();
  set(name, sizeof(cl_mem), &memory);
  set(name, sizeof(cl_ulong), &offset);
}

void ArgumentSetter::set(const char* name, std::size_t bytes, const void* value) {
  const cl_int code = clSetKernelArg(kernel_, index_++, bytes, value);
  require<DeviceError>(code == CL_SUCCESS, "device.argument",
                       "kernel {}: argument '{}' was refused: {}", info_.name, name,
                       cl_error_name(code));
}

}  // namespace motley::detail
