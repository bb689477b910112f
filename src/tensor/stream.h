// An in-order queue of device work: the first argument of every op and the only way work reaches a
// device. Everything enqueued runs in order; only write(), read(), map() and finish() wait for it.
// What starts instead of waiting (start_read, start_write, start_map) gives an event to ask.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tensor/error.h"
#include "tensor/profile.h"
#include "tensor/program.h"
#include "tensor/tensor.h"

namespace motley {

class Device;
class Recorder;

/// A size in each dimension of a grid. All three are asked for: a list of two would leave a zero,
/// and a grid with a zero launches nothing.
class GridSize {
 public:
  constexpr GridSize(std::size_t x, std::size_t y, std::size_t z) : sizes_{x, y, z} {}
  constexpr std::size_t operator[](std::size_t dimension) const { return sizes_[dimension]; }
  constexpr const std::array<std::size_t, 3>& sizes() const { return sizes_; }

 private:
  std::array<std::size_t, 3> sizes_;
};

/// How many work-groups, and how many work-items in each.
struct Grid {
  GridSize groups{1, 1, 1};
  GridSize local{1, 1, 1};
};

/// A kernel with its arguments set, and what to run it on: sizes in work-items.
struct Launch {
  cl_kernel kernel = nullptr;
  const KernelInfo* info = nullptr;
  std::array<std::size_t, 3> global{};
  std::array<std::size_t, 3> local{};
  Work work = {};
};

/// A memory object and a place in it, in bytes.
struct MemoryPlace {
  cl_mem memory = nullptr;
  std::size_t offset = 0;
};

/// Enqueues work by other means than a Stream; the places are those of the tensors it was given
/// with.
using ForeignWork = std::function<void(std::span<const MemoryPlace>)>;

/// What a stream has done since it was made.
struct StreamStatistics {
  std::uint64_t launches = 0;  // of kernels
  std::uint64_t lookups = 0;   // of kernels by name and definitions
  std::uint64_t waits = 0;     // for the device, until it had nothing left to do
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
  /// Returns when it is done. Throws DeviceError when something has failed.
  void wait() const;
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
  const StreamStatistics& statistics() const { return statistics_; }

  /// A tensor with unspecified contents for what is enqueued here: its memory may serve others
  /// before that has run, for what they enqueue comes later. Throws DeviceError when memory is out.
  Tensor tensor(const Shape& shape, Dtype dtype = Dtype::f32);

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
  /// Starts to copy from the host, where nothing may change before the event is done. What is
  /// enqueued next runs after the copy.
  Event start_write(const Tensor& to, std::size_t offset, std::span<const std::byte> from,
                    const Event* after = nullptr);
  /// Starts to show a tensor's memory to the host, to read and write; `data`, which is set at once,
  /// may be used when the event is done, until start_unmap.
  Event start_map(void*& data, const Tensor& tensor, const Event* after = nullptr);
  /// Starts to give the memory back to the device, which may use it when the event is done.
  Event start_unmap(const Tensor& tensor, void* data);

  /// What is recorded here now, or null.
  Recorder* recorder() const { return recorder_; }
  /// Runs `work`; what it enqueues goes to the recorder instead of the device.
  void record(Recorder& recorder, const std::function<void()>& work);
  /// Runs `work`, which is not to be recorded though something else is.
  template <class F>
  void without_recording(F&& work) {
    const Restore restore(recorder_);
    recorder_ = nullptr;
    work();
  }

  /// The kernel object of `info` under `defines`, built on first use and checked against
  /// `info.args`; when it is recorded, an object of this launch's own.
  cl_kernel kernel(const KernelInfo& info, const Defines& defines);
  /// Enqueues a kernel whose arguments are set. A grid without work-items does nothing. `work` is
  /// for profiles.
  void enqueue(cl_kernel kernel, const KernelInfo& info, const Grid& grid, const Work& work = {});
  /// Runs what enqueues work on `tensors` by other means than this class, now or, when recorded,
  /// with each replay; a profile shows that as one command.
  void enqueue_foreign(const char* name, const Work& work,
                       std::initializer_list<const Tensor*> tensors, ForeignWork enqueue);
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
  friend class Recording;

  /// Puts back what was recorded before.
  struct Restore {
    explicit Restore(Recorder*& recorder) : place(recorder), before(recorder) {}
    Restore(const Restore&) = delete;
    Restore& operator=(const Restore&) = delete;
    ~Restore() { place = before; }
    Recorder*& place;
    Recorder* before;
  };

  void run(const Launch& launch);
  void run_copy(const MemoryPlace& to, const MemoryPlace& from, std::size_t bytes);
  void run_fill(const MemoryPlace& to, std::size_t bytes, std::size_t element,
                std::uint32_t pattern);
  void run_foreign(const char* name, const Work& work, const ForeignWork& enqueue,
                   std::span<const MemoryPlace> places);
  void check_not_recording(const char* what) const;
  cl::Kernel make_kernel(const KernelInfo& info, const Defines& defines);

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
  Recorder* recorder_ = nullptr;
  StreamStatistics statistics_;
  std::size_t number_ = 0;  // of this stream, in profiles
  cl::CommandQueue queue_;
  std::map<std::pair<const KernelInfo*, Defines>, cl::Kernel> kernels_;
};

template <class T>
HostView<T>::~HostView() {
  if (data_ != nullptr) stream_->unmap(tensor_, const_cast<std::remove_const_t<T>*>(data_));
}

}  // namespace motley
