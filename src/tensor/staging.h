// Copies between a device's own memory and ordinary host memory, in blocks through a ring of
// page-locked ones: while the device copies one block, the processor copies another. Nothing here
// waits: whoever owns it has other work to do meanwhile.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "tensor/pinned_memory.h"
#include "tensor/stream.h"

namespace motley {

/// Copies are done in the order in which they were asked for; several small ones share a block.
/// Used on the stream's thread. The ring is allocated with the first copy.
class Staging {
 public:
  /// 4 MiB are long enough to copy at full speed and short enough to begin early with; of four, two
  /// are with the device while the processor fills or empties the others.
  struct Ring {
    std::size_t block_bytes = std::size_t{4} << 20;
    std::size_t num_blocks = 4;
  };
  /// The stream must outlive this object.
  explicit Staging(Stream& stream) : Staging(stream, Ring{}) {}
  Staging(Stream& stream, const Ring& ring);
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  /// Copies a tensor to the host, after `after`, an event of another stream; `to` must not be
  /// looked at before is_idle(). Throws ShapeError when sizes or types differ.
  template <class T>
  void read(std::span<T> to, const Tensor& from, const Event& after) {
    check_host(from, dtype_of<T>, to.size());
    read(std::as_writable_bytes(to), from, after);
  }
  /// The same whatever the type.
  void read(std::span<std::byte> to, const Tensor& from, const Event& after) {
    check_bytes(from, to.size());
    if (!to.empty()) waiting_.push_back({from, to, {}, after, 0});
  }
  /// Copies host values to a tensor; they must stay as they are until is_idle().
  template <class T>
  void write(const Tensor& to, std::span<const T> from) {
    check_host(to, dtype_of<T>, from.size());
    write(to, std::as_bytes(from));
  }
  /// The same whatever the type.
  void write(const Tensor& to, std::span<const std::byte> from) {
    check_bytes(to, from.size());
    if (!from.empty()) waiting_.push_back({to, {}, from, std::nullopt, 0});
  }

  /// Does what can be done now of at most one block; says whether there was anything.
  bool advance();
  /// Whether all copies are complete, on the device as well. Until then advance() must be called.
  bool is_idle() const { return waiting_.empty() && num_busy_ == 0; }

 private:
  struct Copy {
    Tensor tensor;
    std::span<std::byte> to;  // one of these two
    std::span<const std::byte> from;
    std::optional<Event> after;
    std::size_t begun;  // bytes
    std::size_t size() const { return to.size() + from.size(); }
  };
  /// Something in a block that goes on to the host.
  struct Arrival {
    std::span<std::byte> to;
    std::size_t at;
  };
  struct Block {
    std::span<std::byte> memory;
    std::size_t used = 0;
    std::vector<Arrival> arrivals = {};
    std::vector<Tensor> tensors = {};  // must not be lent to others meanwhile
    std::optional<Event> last = {};    // of its commands, which run in order
  };

  static void check_host(const Tensor& tensor, Dtype dtype, std::size_t size);
  static void check_bytes(const Tensor& tensor, std::size_t bytes);
  bool empty_oldest();
  bool fill_newest();
  void start(Block& block, Copy& copy);

  Stream& stream_;
  Ring ring_;
  std::deque<Copy> waiting_;
  std::optional<PinnedMemory> memory_;
  std::vector<Block> blocks_;
  std::size_t oldest_ = 0;  // of the blocks in use, which follow each other
  std::size_t num_busy_ = 0;
};

}  // namespace motley
