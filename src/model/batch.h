// A micro-batch on the device, in the form the model reads.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kernels/ops.h"
#include "kernels/token_index.h"
#include "tensor/device.h"

namespace motley {

/// B sequences of T tokens and what should follow each.
struct DeviceBatch {
  std::size_t B = 0;
  std::size_t T = 0;
  Tensor tokens;   // [B*T] i32
  Tensor targets;  // [B*T] i32; op::ignored_target counts for nothing
  op::TokenIndex index;
};

/// A micro-batch as the host has it. tokens, targets: [B*T].
struct HostBatch {
  std::span<const std::int32_t> tokens;
  std::span<const std::int32_t> targets;
  const HostTokenIndex& index;
};

/// A place on the device for micro-batches of one shape, one after another: its tensors stay where
/// they are, and the index always has B*T rows, of which the last ones may be of no token.
class BatchSlot {
 public:
  BatchSlot(Device& device, std::size_t B, std::size_t T);
  BatchSlot(const BatchSlot&) = delete;
  BatchSlot& operator=(const BatchSlot&) = delete;
  /// Waits for copies that are under way, as they are when a step has failed.
  ~BatchSlot();

  const DeviceBatch& batch() const { return batch_; }
  /// Starts to copy a micro-batch here, after all that was enqueued on `s` before; it is there for
  /// what is enqueued on `s` next. Returns before that, unless two others are still on their way.
  /// Throws ShapeError for one of another size.
  void start_upload(Stream& s, const HostBatch& batch);

 private:
  /// What the device may be reading.
  struct Source {
    std::vector<std::int32_t> values;
    std::optional<Event> is_read;
  };
  Tensor packed_;  // all of a batch, [5 B*T + 1] i32
  DeviceBatch batch_;
  std::array<Source, 2> sources_;
  std::size_t next_ = 0;
};

/// Puts a micro-batch on the device.
DeviceBatch upload_batch(Device& device, std::size_t B, std::size_t T, const HostBatch& batch);

}  // namespace motley
