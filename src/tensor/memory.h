// Pooled device memory. A Lease is a counted loan of one buffer: whoever holds it keeps the pool's
// state alive, and a block goes back to the pool only when its last holder is gone. So nothing
// recycles memory that is in use, and nothing dangles, even past the end of the pool or the device.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>

#include "tensor/memory_plan.h"
#include "tensor/opencl.h"

namespace motley {

/// What a pool has handed out and what it keeps, in bytes.
struct MemoryStatistics {
  std::size_t in_use = 0;
  std::size_t peak_in_use = 0;
  std::size_t allocated = 0;
  std::size_t num_allocations = 0;
};

class PoolState;

/// One borrowed buffer.
class Lease {
 public:
  /// is_wrapped: the buffer is over host memory of others and is not handed out again.
  Lease(std::shared_ptr<PoolState> pool, cl::Buffer buffer, std::size_t bytes, bool is_wrapped)
      : pool_(std::move(pool)),
        buffer_(std::move(buffer)),
        bytes_(bytes),
        is_wrapped_(is_wrapped) {}
  /// Of a block that is being planned (tensor/recording.h) and never has a buffer of its own.
  Lease(std::shared_ptr<BlockLives> lives, std::size_t block, std::size_t bytes)
      : lives_(std::move(lives)), block_(block), bytes_(bytes) {}
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  ~Lease();

  /// Throws ShapeError for a block that was planned: only its recording knows where it is.
  const cl::Buffer& buffer() const;
  std::size_t bytes() const { return bytes_; }
  /// The number of a block that is planned.
  std::optional<std::size_t> block() const { return lives_ ? std::optional(block_) : std::nullopt; }

 private:
  std::shared_ptr<PoolState> pool_;
  cl::Buffer buffer_;
  std::shared_ptr<BlockLives> lives_;
  std::size_t block_ = 0;
  std::size_t bytes_;
  bool is_wrapped_ = false;
};

/// Reuses freed blocks for requests of nearly their size. Thread-safe.
///
/// A block may be handed out again while kernels that used it are still queued. That is right for
/// one in-order queue per device, which runs them first; a second queue must be tied by an event.
class MemoryPool {
 public:
  /// `max_allocation` is the device's limit for one buffer, in bytes.
  MemoryPool(cl::Context context, std::size_t max_allocation);

  /// A block of at least `bytes`. Throws DeviceError when the device's limit is passed or memory is
  /// out.
  std::shared_ptr<const Lease> lease(std::size_t bytes);
  /// A buffer over host memory, which CPU and unified-memory devices use in place; it counts as in
  /// use and is never handed out again. `memory` starts at a page and is kept alive by `owner`, of
  /// which the buffer holds a copy until the last command that uses it is done: its end may come on
  /// a thread of the driver. The same memory may not be under two buffers of one context. Throws
  /// DeviceError.
  std::shared_ptr<const Lease> wrap(std::span<std::byte> memory, std::shared_ptr<const void> owner);
  MemoryStatistics statistics() const;
  /// Forgets the highest amount in use so far.
  void reset_peak();
  /// Gives all idle blocks back to the device.
  void trim();

 private:
  std::shared_ptr<PoolState> state_;
};

}  // namespace motley
