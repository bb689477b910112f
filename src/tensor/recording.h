// Commands that are enqueued again and again with the same shapes, recorded once: every kernel has
// its arguments, every tensor its place. A replay enqueues them and does nothing else: no tensor is
// made, no kernel looked up, no argument set.
//
// While a Recording is made nothing runs. Tensors that ops make meanwhile (Stream::tensor) have no
// memory yet, only a life from one command to another; when all is known, their memory is planned
// at once (tensor/memory_plan.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <variant>
#include <vector>

#include "tensor/memory_plan.h"
#include "tensor/stream.h"

namespace motley {

/// Something the host does between two commands, as the recorded work announced it: what it means
/// is its announcer's to say.
struct HostCall {
  int kind = 0;
  std::size_t index = 0;
};

class Recorder;

/// Of one stream, for its thread. Keeps the tensors it reads and writes alive; they must stay where
/// they are.
class Recording {
 public:
  /// Runs `work`, which enqueues on `s` through ops, and keeps what it enqueues. Ops that wait for
  /// the device cannot be recorded: they throw ShapeError. Takes memory from the device's pool,
  /// or has that of `lender`, of the same stream, where it is large enough; throws DeviceError when
  /// there is not enough.
  Recording(Stream& s, const std::function<void()>& work, const Recording* lender = nullptr);
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  /// Enqueues all commands in order; `on_call` is called where the work announced a HostCall. What
  /// recorded tensors held is lost between replays.
  void replay(const std::function<void(const HostCall&)>& on_call = nullptr) const;

  std::size_t num_commands() const { return commands_.size(); }
  /// Of the device's memory, lent or its own, for tensors that live within the recording.
  std::size_t memory_bytes() const;

 private:
  friend class Recorder;

  struct Copy {
    std::size_t to;  // of places_, as are the others
    std::size_t from;
    std::size_t bytes;
  };
  struct Fill {
    std::size_t to;
    std::size_t bytes;
    std::size_t element;
    std::uint32_t pattern;
  };
  struct Foreign {
    const char* name;
    Work work;
    ForeignWork enqueue;
    std::size_t first_place;
    std::size_t num_places;
  };
  using Command = std::variant<Launch, Copy, Fill, Foreign, HostCall>;

  Stream& stream_;
  std::vector<Command> commands_;
  std::vector<MemoryPlace> places_;
  std::vector<cl::Kernel> kernels_;
  std::set<std::shared_ptr<const Lease>> kept_;
  std::vector<std::shared_ptr<const Lease>> arenas_;
};

/// Collects the commands of a Recording while it is made. Stream and launch() call it.
class Recorder {
 public:
  explicit Recorder(Recording& recording);
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  /// A tensor that lives until its last holder is gone.
  Tensor tensor(const Shape& shape, Dtype dtype);
  /// Keeps a kernel object that is this launch's alone.
  cl_kernel own(cl::Kernel kernel);
  /// The memory of an argument; see kernelgen for the two arguments of a buffer. Sets those of a
  /// tensor that has memory; those of others when they get theirs. False: this is the caller's to
  /// do.
  bool set_later(cl_kernel kernel, cl_uint index, const Tensor& tensor);

  void add(const Launch& launch);
  void add_copy(const Tensor& to, const Tensor& from);
  void add_fill(const Tensor& to, std::uint32_t pattern);
  void add_foreign(const char* name, const Work& work, std::span<const Tensor* const> tensors,
                   ForeignWork enqueue);
  void add(const HostCall& call);

  /// Plans the memory, takes it and tells the kernels.
  void finish(MemoryPool& pool, const ArenaLimits& limits, const Recording* lender);

 private:
  struct LateArgument {
    cl_kernel kernel;
    cl_uint index;
    std::size_t block;
    std::size_t offset;  // in elements
    std::size_t element;
  };
  struct LatePlace {
    std::size_t place;
    std::size_t block;
  };
  void add(Recording::Command command);
  std::size_t place_of(const Tensor& tensor);

  Recording& recording_;
  std::shared_ptr<BlockLives> lives_;
  std::vector<LateArgument> late_arguments_;
  std::vector<LatePlace> late_places_;
};

}  // namespace motley
