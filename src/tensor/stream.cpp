#include "tensor/stream.h"

#include <algorithm>
#include <cstring>

#include "tensor/device.h"
#include "tensor/log.h"
#include "tensor/recording.h"

namespace motley {
namespace {

/// Whether a compiled argument's type is the declared one. `stored` and its like stand for float
/// or 16 bits, by the build's definitions (kernels/stored.clh).
bool is_declared(std::string_view compiled, std::string_view declared) {
  if (declared.starts_with("stored")) return compiled == "float*" || compiled == "ushort*";
  return compiled == declared;
}

/// Compares the compiled kernel with what kernelgen read from its signature. Some drivers keep no
/// argument information; there only the count is compared.
void check_signature(const cl::Kernel& kernel, const KernelInfo& info) {
  cl_uint count = 0;
  check_cl(kernel.getInfo(CL_KERNEL_NUM_ARGS, &count), "clGetKernelInfo");
  require<DeviceError>(count == info.num_args, "device.signature",
                       "kernel {} of {} was compiled with {} arguments, its signature has {}",
                       info.name, info.file, count, info.num_args);
  for (cl_uint i = 0; i < count; ++i) {
    std::string type;
    if (kernel.getArgInfo(i, CL_KERNEL_ARG_TYPE_NAME, &type) != CL_SUCCESS) return;
    while (!type.empty() && type.back() == '\0') type.pop_back();
    require<DeviceError>(
        is_declared(type, info.args[i].type), "device.signature",
        "kernel {} of {}: argument '{}' was compiled as '{}', its signature says '{}'", info.name,
        info.file, info.args[i].name, type, info.args[i].type);
  }
}

/// Each byte is read once and written once.
Work copy_work(std::size_t bytes) {
  return {.bytes = 2 * static_cast<double>(bytes)};
}

MemoryPlace place_of(const Tensor& tensor) {
  return {tensor.mem(), tensor.offset() * size_of(tensor.dtype())};
}

}  // namespace

Stream::Stream(Device& device) : device_(&device), profile_(device.profile()) {
  cl_command_queue_properties properties = 0;
  if (profile_ != nullptr) {
    properties = CL_QUEUE_PROFILING_ENABLE;
    number_ = profile_->number_stream();
  }
  cl_int code = CL_SUCCESS;
  queue_ = cl::CommandQueue(device.context(), device.info().handle, properties, &code);
  check_cl(code, "clCreateCommandQueue");
}

Stream::~Stream() {
  const cl_int code = queue_.finish();
  if (code != CL_SUCCESS)
    log::error("work was lost on {}: {}", device_->info().name, cl_error_name(code));
}

void Stream::check_host(const Tensor& tensor, Dtype dtype, std::size_t size) {
  // 16-bit reals travel as integers.
  const bool same_type =
      tensor.dtype() == dtype || (dtype == Dtype::u16 && size_of(tensor.dtype()) == size_of(dtype));
  require<ShapeError>(same_type && tensor.size() == size, "tensor.host-copy",
                      "a {} tensor {} does not fit {} host values of type {}",
                      name_of(tensor.dtype()), to_string(tensor.shape()), size, name_of(dtype));
}

Tensor Stream::tensor(const Shape& shape, Dtype dtype) {
  if (recorder_ == nullptr) return device_->tensor(shape, dtype);
  Tensor tensor = recorder_->tensor(shape, dtype);
  if (device_->poisons_fresh_memory()) fill(tensor, poison_pattern);
  return tensor;
}

void Stream::record(Recorder& recorder, const std::function<void()>& work) {
  check_not_recording("a recording within a recording");
  const Restore restore(recorder_);
  recorder_ = &recorder;
  work();
}

void Stream::check_not_recording(const char* what) const {
  require<ShapeError>(recorder_ == nullptr, "tensor.recording",
                      "{} was asked for while commands are recorded, when none of them runs; this "
                      "is a fault of the program",
                      what);
}

void Stream::write_bytes(Tensor& to, const void* values) {
  check_not_recording("a copy from the host");
  if (to.size() == 0) return;
  ++statistics_.waits;
  const std::size_t offset = to.offset() * size_of(to.dtype());
  noted("write", copy_work(to.bytes()), [&](cl_event* event) {
    check_cl(clEnqueueWriteBuffer(queue_(), to.mem(), CL_TRUE, offset, to.bytes(), values, 0,
                                  nullptr, event),
             "clEnqueueWriteBuffer");
  });
}

void Stream::read_bytes(void* values, const Tensor& from) {
  check_not_recording("a copy to the host");
  if (from.size() == 0) return;
  ++statistics_.waits;
  const std::size_t offset = from.offset() * size_of(from.dtype());
  noted("read", copy_work(from.bytes()), [&](cl_event* event) {
    check_cl(clEnqueueReadBuffer(queue_(), from.mem(), CL_TRUE, offset, from.bytes(), values, 0,
                                 nullptr, event),
             "clEnqueueReadBuffer");
  });
}

void Stream::copy(Tensor& to, const Tensor& from) {
  require<ShapeError>(to.size() == from.size() && to.dtype() == from.dtype(), "tensor.copy",
                      "copy from {} {} to {} {}: sizes and types must be equal",
                      name_of(from.dtype()), to_string(from.shape()), name_of(to.dtype()),
                      to_string(to.shape()));
  if (to.size() == 0) return;
  if (recorder_ != nullptr) return recorder_->add_copy(to, from);
  run_copy(place_of(to), place_of(from), to.bytes());
}

void Stream::run_copy(const MemoryPlace& to, const MemoryPlace& from, std::size_t bytes) {
  noted("copy", copy_work(bytes), [&](cl_event* event) {
    check_cl(clEnqueueCopyBuffer(queue_(), from.memory, to.memory, from.offset, to.offset, bytes, 0,
                                 nullptr, event),
             "clEnqueueCopyBuffer");
  });
}

void Stream::fill(Tensor& tensor, std::uint32_t pattern) {
  if (tensor.size() == 0) return;
  if (recorder_ != nullptr) return recorder_->add_fill(tensor, pattern);
  run_fill(place_of(tensor), tensor.bytes(), size_of(tensor.dtype()), pattern);
}

void Stream::run_fill(const MemoryPlace& to, std::size_t bytes, std::size_t element,
                      std::uint32_t pattern) {
  noted("fill", {.bytes = static_cast<double>(bytes)}, [&](cl_event* event) {
    check_cl(clEnqueueFillBuffer(queue_(), to.memory, &pattern, element, to.offset, bytes, 0,
                                 nullptr, event),
             "clEnqueueFillBuffer");
  });
}

void Stream::enqueue_foreign(const char* name, const Work& work,
                             std::initializer_list<const Tensor*> tensors, ForeignWork enqueue) {
  if (recorder_ != nullptr)
    return recorder_->add_foreign(name, work, std::span(tensors.begin(), tensors.size()),
                                  std::move(enqueue));
  std::vector<MemoryPlace> places;
  for (const Tensor* tensor : tensors) places.push_back(place_of(*tensor));
  run_foreign(name, work, enqueue, places);
}

void Stream::run_foreign(const char* name, const Work& work, const ForeignWork& enqueue,
                         std::span<const MemoryPlace> places) {
  if (!is_profiled()) return enqueue(places);
  const cl::Event before = enqueue_marker();
  enqueue(places);
  profile_->add(name, number_, work, before, enqueue_marker());
}

void* Stream::map_bytes(const Tensor& tensor, Access access) {
  check_not_recording("memory for the host");
  if (tensor.size() == 0) return nullptr;
  ++statistics_.waits;
  cl_map_flags flags = CL_MAP_READ | CL_MAP_WRITE;
  if (access == Access::read) flags = CL_MAP_READ;
  if (access == Access::write) flags = CL_MAP_WRITE;
  cl_int code = CL_SUCCESS;
  void* data = queue_.enqueueMapBuffer(tensor.buffer(), CL_TRUE, flags,
                                       tensor.offset() * size_of(tensor.dtype()), tensor.bytes(),
                                       nullptr, nullptr, &code);
  check_cl(code, "clEnqueueMapBuffer");
  return data;
}

void Stream::unmap(const Tensor& tensor, void* data) noexcept {
  const cl_int code = clEnqueueUnmapMemObject(queue_(), tensor.mem(), data, 0, nullptr, nullptr);
  if (code != CL_SUCCESS) log::error("clEnqueueUnmapMemObject failed with {}", cl_error_name(code));
}

namespace {

/// The wait list of a command that comes after one event or none.
struct WaitList {
  explicit WaitList(const Event* after)
      : event(after != nullptr ? after->handle() : nullptr), size(after != nullptr ? 1 : 0) {}
  const cl_event* data() const { return size > 0 ? &event : nullptr; }

  cl_event event;
  cl_uint size;
};

void check_part(const Tensor& tensor, std::size_t offset, std::size_t bytes) {
  require<ShapeError>(bytes > 0 && offset <= tensor.bytes() && bytes <= tensor.bytes() - offset,
                      "tensor.host-copy", "{} bytes from byte {} on are not within a tensor of {}",
                      bytes, offset, tensor.bytes());
}

}  // namespace

Event Stream::start_read(std::span<std::byte> to, const Tensor& from, std::size_t offset,
                         const Event* after) {
  check_not_recording("a copy to the host");
  check_part(from, offset, to.size());
  const WaitList wait(after);
  cl::Event done;
  check_cl(clEnqueueReadBuffer(queue_(), from.mem(), CL_FALSE,
                               from.offset() * size_of(from.dtype()) + offset, to.size(), to.data(),
                               wait.size, wait.data(), &done()),
           "clEnqueueReadBuffer");
  note("read", to.size(), done);
  return Event(std::move(done));
}

Event Stream::start_write(const Tensor& to, std::size_t offset, std::span<const std::byte> from,
                          const Event* after) {
  check_not_recording("a copy from the host");
  check_part(to, offset, from.size());
  const WaitList wait(after);
  cl::Event done;
  check_cl(
      clEnqueueWriteBuffer(queue_(), to.mem(), CL_FALSE, to.offset() * size_of(to.dtype()) + offset,
                           from.size(), from.data(), wait.size, wait.data(), &done()),
      "clEnqueueWriteBuffer");
  // An in-order queue needs no barrier; but a driver has been seen that let kernels overtake copies
  // from the host that nobody waited for.
  check_cl(clEnqueueBarrierWithWaitList(queue_(), 1, &done(), nullptr),
           "clEnqueueBarrierWithWaitList");
  note("write", from.size(), done);
  return Event(std::move(done));
}

Event Stream::start_map(void*& data, const Tensor& tensor, const Event* after) {
  check_not_recording("memory for the host");
  check_part(tensor, 0, tensor.bytes());
  const WaitList wait(after);
  cl::Event done;
  cl_int code = CL_SUCCESS;
  data = clEnqueueMapBuffer(queue_(), tensor.mem(), CL_FALSE, CL_MAP_READ | CL_MAP_WRITE,
                            tensor.offset() * size_of(tensor.dtype()), tensor.bytes(), wait.size,
                            wait.data(), &done(), &code);
  check_cl(code, "clEnqueueMapBuffer");
  return Event(std::move(done));
}

Event Stream::start_unmap(const Tensor& tensor, void* data) {
  cl::Event done;
  check_cl(clEnqueueUnmapMemObject(queue_(), tensor.mem(), data, 0, nullptr, &done()),
           "clEnqueueUnmapMemObject");
  return Event(std::move(done));
}

cl_kernel Stream::kernel(const KernelInfo& info, const Defines& defines) {
  ++statistics_.lookups;
  if (recorder_ != nullptr) return recorder_->own(make_kernel(info, defines));
  const auto key = std::pair(&info, defines);
  const auto found = kernels_.find(key);
  if (found != kernels_.end()) return found->second();
  return kernels_.emplace(key, make_kernel(info, defines)).first->second();
}

cl::Kernel Stream::make_kernel(const KernelInfo& info, const Defines& defines) {
  const cl::Program program = device_->programs().get(info, defines);
  cl_int code = CL_SUCCESS;
  cl::Kernel created(program, info.name, &code);
  require<DeviceError>(code == CL_SUCCESS, "device.kernel", "kernel {} of {} cannot be created: {}",
                       info.name, info.file, cl_error_name(code));
  check_signature(created, info);
  return created;
}

void Stream::note(const char* name, std::size_t bytes, const cl::Event& event) {
  if (is_profiled()) profile_->add(name, number_, copy_work(bytes), event);
}

void Stream::enqueue(cl_kernel kernel, const KernelInfo& info, const Grid& grid, const Work& work) {
  std::array<std::size_t, 3> global{};
  for (std::size_t i = 0; i < 3; ++i) global[i] = checked_mul(grid.groups[i], grid.local[i]);
  if (global[0] == 0 || global[1] == 0 || global[2] == 0) return;
  const Launch launch{kernel, &info, global, grid.local.sizes(), work};
  if (recorder_ != nullptr) return recorder_->add(launch);
  run(launch);
}

void Stream::run(const Launch& launch) {
  ++statistics_.launches;
  noted(launch.info->name, launch.work, [&](cl_event* event) {
    const cl_int code =
        clEnqueueNDRangeKernel(queue_(), launch.kernel, 3, nullptr, launch.global.data(),
                               launch.local.data(), 0, nullptr, event);
    require<DeviceError>(
        code == CL_SUCCESS, "device.launch",
        "kernel {} of {} on {}x{}x{} work-items in groups of {}x{}x{} was refused: "
        "{}",
        launch.info->name, launch.info->file, launch.global[0], launch.global[1], launch.global[2],
        launch.local[0], launch.local[1], launch.local[2], cl_error_name(code));
  });
}

bool Event::is_done() const {
  cl_int status = CL_QUEUED;
  check_cl(event_.getInfo(CL_EVENT_COMMAND_EXECUTION_STATUS, &status), "clGetEventInfo");
  check_cl(std::min(status, CL_SUCCESS), "a command on the device");
  if (status != CL_COMPLETE) return false;
  // Asking for the status alone promises nothing about memory (OpenCL 1.2, 5.9); this does, at
  // once.
  check_cl(event_.wait(), "clWaitForEvents");
  return true;
}

void Event::wait() const {
  check_cl(event_.wait(), "clWaitForEvents");
}

cl::Event Stream::enqueue_marker() {
  cl::Event event;
  check_cl(queue_.enqueueMarkerWithWaitList(nullptr, &event), "clEnqueueMarkerWithWaitList");
  return event;
}

Event Stream::mark() {
  cl::Event event = enqueue_marker();
  flush();
  return Event(std::move(event));
}

void Stream::flush() {
  check_cl(queue_.flush(), "clFlush");
}

void Stream::finish() {
  check_not_recording("the end of all work");
  ++statistics_.waits;
  check_cl(queue_.finish(), "clFinish");
}

}  // namespace motley
