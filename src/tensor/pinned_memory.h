// Host memory whose pages the driver has locked, so that a device with memory of its own copies to
// and from it at full speed and without the processor. Not for data: for staging (staging.h).
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "tensor/stream.h"

namespace motley {

/// Allocated by the driver and mapped until the end of this object's life. Where the driver gives
/// none it is ordinary memory, which copies more slowly; that is warned of.
class PinnedMemory {
 public:
  /// The stream must outlive this object.
  PinnedMemory(Stream& stream, std::size_t bytes);
  PinnedMemory(const PinnedMemory&) = delete;
  PinnedMemory& operator=(const PinnedMemory&) = delete;
  /// Waits for all that the stream has been given: it may still copy from or to this memory.
  ~PinnedMemory();

  std::span<std::byte> bytes() const { return bytes_; }
  bool is_pinned() const { return buffer_() != nullptr; }

 private:
  Stream& stream_;
  cl::Buffer buffer_;                      // none: ordinary memory
  std::unique_ptr<std::byte[]> ordinary_;  // NOLINT(modernize-avoid-c-arrays)
  std::span<std::byte> bytes_;
};

}  // namespace motley
