// An in-order queue of device work: the first argument of every op and the only way work reaches a
// device. Everything enqueued runs in order; only write(), read(), map() and finish() wait for it.
// What starts instead of waiting (start_read, start_write, start_map) gives an event to ask.
#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <utility>

#include "tensor/error.h"
#include "tensor/profile.h"
#include "tensor/program.h"
#include "tensor/tensor.h"

namespace motley {

class Device;

/// How many work-groups, and how many work-items in each.
struct Grid {
  std::array<std::size_t, 3> groups{1, 1, 1};
  std::array<std::size_t, 3> local{1, 1, 1};
};

enum class Access { read, write, read_write };

/// A point in a stream's order.
class Event {
 public:
  explicit Event(cl::Event event) : event_(std::move(event)) {}
  /// Whether all that was enqueued before it has run; does not wait. When it has, what that wrote
  /// is there for all other streams and for the host. Throws DeviceError when something has failed.
  /// May be asked on any thread.
  bool is_done() const;
  /// For wait lists.
  cl_event handle() const { return event_(); }

 private:
  cl::Event event_;
};

class Stream;

/// Device memory seen from the host until the end of the scope. Free of copies where memory is
/// unified.
template <class T>
class HostView {
 public:
  HostView(Stream& stream, const Tensor& tensor, void* data)
      : stream_(&stream), tensor_(tensor), data_(static_cast<T*>(data)) {}
  HostView(HostView&& other) noexcept
      : stream_(other.stream_),
        tensor_(other.tensor_),
        data_(std::exchange(other.data_, nullptr)) {}
  HostView& operator=(HostView&&) = delete;
  ~HostView();
  std::span<T> span() const { return {data_, tensor_.size()}; }

 private:
  Stream* stream_;
  Tensor tensor_;
  T* data_;
};

/// Not thread-safe: one thread uses a stream, because kernel objects carry their arguments.
class Stream {
 public:
  explicit Stream(Device& device);
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream();

  Device& device() { return *device_; }
  cl_command_queue queue() const { return queue_(); }

  /// Copies host values to a tensor of the same size; returns when `values` may change.
  template <class T>
  void write(Tensor& to, std::span<const T> values) {
    check_host(to, dtype_of<T>, values.size());
    write_bytes(to, values.data());
  }
  /// Copies a tensor to the host, after waiting for what was enqueued before.
  template <class T>
  void read(std::span<T> values, const Tensor& from) {
    check_host(from, dtype_of<T>, values.size());
    read_bytes(values.data(), from);
  }
  /// Copies between tensors of equal size and dtype. They must not overlap.
  void copy(Tensor& to, const Tensor& from);
  /// Fills with a 32-bit pattern's first bytes; zero by default.
  void fill(Tensor& tensor, std::uint32_t pattern = 0);
  /// Waits for what was enqueued before and shows the tensor's memory to the host.
  template <class T>
  HostView<T> map(const Tensor& tensor, Access access) {
    check_host(tensor, dtype_of<std::remove_const_t<T>>, tensor.size());
    return HostView<T>(*this, tensor, map_bytes(tensor, access));
  }

  /// Starts to copy bytes [offset, offset + to.size()) of a tensor to the host, where nobody may
  /// look before the event is done; not before `after`, of another stream, is done (null: at once).
  /// Reaches the device with the next flush, as do the two below.
  Event start_read(std::span<std::byte> to, const Tensor& from, std::size_t offset,
                   const Event* after = nullptr);
  /// Starts to copy from the host, where nothing may change before the event is done.
  Event start_write(const Tensor& to, std::size_t offset, std::span<const std::byte> from,
                    const Event* after = nullptr);
  /// Starts to show a tensor's memory to the host, to read and write; `data`, which is set at once,
  /// may be used when the event is done, until start_unmap.
  Event start_map(void*& data, const Tensor& tensor, const Event* after = nullptr);
  /// Starts to give the memory back to the device, which may use it when the event is done.
  Event start_unmap(const Tensor& tensor, void* data);

  /// The kernel object of `info` under `defines`, built on first use and checked against
  /// `info.args`.
  cl_kernel kernel(const KernelInfo& info, const Defines& defines);
  /// Enqueues a kernel whose arguments are set. A grid without work-items does nothing. `work` is
  /// for profiles.
  void enqueue(cl_kernel kernel, const KernelInfo& info, const Grid& grid, const Work& work = {});
  /// Runs what enqueues work by other means than this class; a profile shows that as one command.
  template <class Enqueue>
  void enqueue_foreign(const char* name, const Work& work, Enqueue enqueue) {
    if (!is_profiled()) return enqueue();
    const cl::Event before = enqueue_marker();
    enqueue();
    profile_->add(name, number_, work, before, enqueue_marker());
  }
  /// An event that is done when everything enqueued has run; without a flush.
  cl::Event enqueue_marker();
  /// Hands everything enqueued to the device without waiting; the event is done when that has run.
  Event mark();
  /// Hands everything enqueued to the device without waiting.
  void flush();
  /// Waits until everything enqueued has run.
  void finish();

 private:
  template <class T>
  friend class HostView;
  static void check_host(const Tensor& tensor, Dtype dtype, std::size_t size);
  void write_bytes(Tensor& to, const void* values);
  void read_bytes(void* values, const Tensor& from);
  void* map_bytes(const Tensor& tensor, Access access);
  void unmap(const Tensor& tensor, void* data) noexcept;
  bool is_profiled() const { return profile_ != nullptr && profile_->is_on(); }
  /// Gives `enqueue` a place for its event where a profile wants one, null elsewhere.
  template <class Enqueue>
  void noted(const char* name, const Work& work, Enqueue enqueue) {
    if (!is_profiled()) return enqueue(nullptr);
    cl::Event event;
    enqueue(&event());
    profile_->add(name, number_, work, event);
  }
  void note(const char* name, std::size_t bytes, const cl::Event& event);

  Device* device_;
  CommandProfile* profile_;  // null unless the device keeps one
  std::size_t number_ = 0;   // of this stream, in profiles
  cl::CommandQueue queue_;
  std::map<std::pair<const KernelInfo*, Defines>, cl::Kernel> kernels_;
};

template <class T>
HostView<T>::~HostView() {
  if (data_ != nullptr) stream_->unmap(tensor_, const_cast<std::remove_const_t<T>*>(data_));
}

}  // namespace motley
