#include "tensor/memory.h"

#include <algorithm>
#include <utility>

#include "tensor/checked.h"
#include "tensor/error.h"

namespace motley {
namespace {

// A free block may serve a request if at most a quarter of it would be wasted.
constexpr std::size_t waste_divisor = 4;

}  // namespace

class PoolState {
 public:
  PoolState(cl::Context context, std::size_t max_allocation)
      : context_(std::move(context)), max_allocation_(max_allocation) {}

  std::pair<cl::Buffer, std::size_t> take(std::size_t bytes) {
    const std::size_t wanted = round_up(std::max<std::size_t>(bytes, 1), memory_granule);
    require<DeviceError>(wanted <= max_allocation_, "memory.max-allocation",
                         "a buffer of {} bytes was asked for; this device allows at most {} in one "
                         "buffer: use a smaller micro-batch or model",
                         wanted, max_allocation_);
    const std::lock_guard lock(mutex_);
    const auto block = free_.lower_bound(wanted);
    const bool reuse =
        block != free_.end() && block->first - wanted <= block->first / waste_divisor;
    const std::size_t size = reuse ? block->first : wanted;
    cl::Buffer buffer;
    if (reuse) {
      buffer = std::move(block->second);
      free_.erase(block);
    } else {
      buffer = allocate(size);
    }
    statistics_.in_use += size;
    statistics_.peak_in_use = std::max(statistics_.peak_in_use, statistics_.in_use);
    return {std::move(buffer), size};
  }

  void give(cl::Buffer buffer, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    statistics_.in_use -= bytes;
    free_.emplace(bytes, std::move(buffer));
  }

  cl::Buffer wrap(std::span<std::byte> memory, std::shared_ptr<const void> owner) {
    cl_int code = CL_SUCCESS;
    cl::Buffer buffer(context_, CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR, memory.size(),
                      memory.data(), &code);
    require<DeviceError>(code == CL_SUCCESS, "memory.wrap",
                         "the device cannot use {} bytes of host memory as a buffer: {}",
                         memory.size(), cl_error_name(code));
    keep_until_gone(buffer, std::move(owner));
    const std::lock_guard lock(mutex_);
    statistics_.in_use += memory.size();
    statistics_.peak_in_use = std::max(statistics_.peak_in_use, statistics_.in_use);
    return buffer;
  }

  void forget(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    statistics_.in_use -= bytes;
  }

  MemoryStatistics statistics() const {
    const std::lock_guard lock(mutex_);
    return statistics_;
  }

  void reset_peak() {
    const std::lock_guard lock(mutex_);
    statistics_.peak_in_use = statistics_.in_use;
  }

  void trim() {
    const std::lock_guard lock(mutex_);
    drop_free_blocks();
  }

 private:
  cl::Buffer allocate(std::size_t bytes) {
    cl_int code = CL_SUCCESS;
    cl::Buffer buffer(context_, CL_MEM_READ_WRITE, bytes, nullptr, &code);
    if (code != CL_SUCCESS && !free_.empty()) {
      drop_free_blocks();
      buffer = cl::Buffer(context_, CL_MEM_READ_WRITE, bytes, nullptr, &code);
    }
    require<DeviceError>(
        code == CL_SUCCESS, "memory.out",
        "the device has no room for {} more bytes ({}); {} bytes are in use: use a "
        "smaller micro-batch, --model.recompute block, or a smaller model",
        bytes, cl_error_name(code), statistics_.in_use);
    statistics_.allocated += bytes;
    ++statistics_.num_allocations;
    return buffer;
  }

  void drop_free_blocks() {
    for (const auto& [bytes, buffer] : free_) statistics_.allocated -= bytes;
    free_.clear();
  }

  /// Commands that are queued keep a buffer alive, but not the host memory under it.
  static void keep_until_gone(const cl::Buffer& buffer, std::shared_ptr<const void> owner) {
    auto kept = std::make_unique<std::shared_ptr<const void>>(std::move(owner));
    check_cl(clSetMemObjectDestructorCallback(
                 buffer(),
                 [](cl_mem, void* data) { delete static_cast<std::shared_ptr<const void>*>(data); },
                 kept.get()),
             "clSetMemObjectDestructorCallback");
    static_cast<void>(kept.release());  // the callback has it
  }

  cl::Context context_;
  std::size_t max_allocation_;
  mutable std::mutex mutex_;
  std::multimap<std::size_t, cl::Buffer> free_;
  MemoryStatistics statistics_;
};

const cl::Buffer& Lease::buffer() const {
  require<ShapeError>(lives_ == nullptr, "tensor.recorded",
                      "a tensor of {} bytes was made while commands were recorded and is used "
                      "outside of the recording; this is a fault of the program",
                      bytes_);
  return buffer_;
}

Lease::~Lease() {
  if (lives_) {
    lives_->end(block_);
  } else if (is_wrapped_) {
    pool_->forget(bytes_);
  } else {
    pool_->give(std::move(buffer_), bytes_);
  }
}

MemoryPool::MemoryPool(cl::Context context, std::size_t max_allocation)
    : state_(std::make_shared<PoolState>(std::move(context), max_allocation)) {}

std::shared_ptr<const Lease> MemoryPool::lease(std::size_t bytes) {
  auto [buffer, size] = state_->take(bytes);
  return std::make_shared<const Lease>(state_, std::move(buffer), size, false);
}

std::shared_ptr<const Lease> MemoryPool::wrap(std::span<std::byte> memory,
                                              std::shared_ptr<const void> owner) {
  return std::make_shared<const Lease>(state_, state_->wrap(memory, std::move(owner)),
                                       memory.size(), true);
}

MemoryStatistics MemoryPool::statistics() const {
  return state_->statistics();
}
void MemoryPool::reset_peak() {
  state_->reset_peak();
}
void MemoryPool::trim() {
  state_->trim();
}

}  // namespace motley
