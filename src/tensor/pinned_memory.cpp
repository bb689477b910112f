#include "tensor/pinned_memory.h"

#include "tensor/device.h"
#include "tensor/log.h"

namespace motley {

PinnedMemory::PinnedMemory(Stream& stream, std::size_t bytes) : stream_(stream) {
  cl_int code = CL_SUCCESS;
  cl::Buffer buffer(stream.device().context(), CL_MEM_READ_WRITE | CL_MEM_ALLOC_HOST_PTR, bytes,
                    nullptr, &code);
  void* data = nullptr;
  if (code == CL_SUCCESS) {
    data = clEnqueueMapBuffer(stream.queue(), buffer(), CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, 0,
                              bytes, 0, nullptr, nullptr, &code);
  }
  if (code == CL_SUCCESS) {
    buffer_ = std::move(buffer);
    bytes_ = {static_cast<std::byte*>(data), bytes};
    return;
  }
  log::warn(
      "{} gives no page-locked host memory ({} for {} bytes): copies to and from it go through "
      "ordinary memory and may take twice as long",
      stream.device().info().name, cl_error_name(code), bytes);
  ordinary_ = std::make_unique_for_overwrite<std::byte[]>(bytes);  // NOLINT(*-avoid-c-arrays)
  bytes_ = {ordinary_.get(), bytes};
}

PinnedMemory::~PinnedMemory() {
  cl_int code = CL_SUCCESS;
  if (is_pinned())
    code = clEnqueueUnmapMemObject(stream_.queue(), buffer_(), bytes_.data(), 0, nullptr, nullptr);
  if (code == CL_SUCCESS) code = clFinish(stream_.queue());
  if (code != CL_SUCCESS) log::error("clEnqueueUnmapMemObject failed with {}", cl_error_name(code));
}

}  // namespace motley
