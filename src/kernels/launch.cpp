#include "kernels/launch.h"

#include "tensor/recording.h"

namespace motley::detail {

StoredDtypes StoredFinder::dtypes(const KernelInfo& info) const {
  StoredDtypes dtypes{};
  for (std::size_t i = 0; i < num_stored_groups; ++i) {
    dtypes[i] = first_[i] != nullptr ? first_[i]->dtype() : Dtype::f32;
    require<ShapeError>(
        dtypes[i] == Dtype::f32 || dtypes[i] == Dtype::bf16 || dtypes[i] == Dtype::f16,
        "kernel.dtype", "kernel {}: a tensor is {}, it takes f32, bf16 or f16; convert it first",
        info.name, name_of(dtypes[i]));
  }
  return dtypes;
}

Defines with_stored(Defines defines, const StoredDtypes& dtypes) {
  // As in stored.clh.
  constexpr std::array in_bf16{"STORED_BF16", "STORED_B_BF16", "STORED_C_BF16"};
  constexpr std::array in_f16{"STORED_F16", "STORED_B_F16", "STORED_C_F16"};
  for (std::size_t i = 0; i < num_stored_groups; ++i) {
    if (dtypes[i] == Dtype::bf16) defines.add(in_bf16[i], 1);
    if (dtypes[i] == Dtype::f16) defines.add(in_f16[i], 1);
  }
  return defines;
}

void ArgumentSetter::set_buffer(const char* name, const Tensor* tensor, Dtype dtype) {
  const bool given = tensor != nullptr && !tensor->empty();
  require<ShapeError>(!given || tensor->dtype() == dtype, "kernel.dtype",
                      "kernel {}: argument '{}' is {}, the kernel takes {}; convert it first",
                      info_.name, name, name_of(given ? tensor->dtype() : dtype), name_of(dtype));
  if (given) bytes_ += tensor->bytes();
  if (given && recorder_ != nullptr && recorder_->set_later(kernel_, index_, *tensor)) {
    index_ += 2;
    return;
  }
  cl_mem memory = given ? tensor->mem() : nullptr;
  const cl_ulong offset = given ? tensor->offset() : 0;
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
