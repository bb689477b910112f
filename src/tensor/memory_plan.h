// Where blocks of memory that live at different times go, planned before any of them exists. A
// recording (tensor/recording.h) knows when each of its tensors is made and given back, so what
// never lives together may share memory, whatever the sizes.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace motley {

/// A block that is needed from command `begin` on, until before command `end`.
struct LivingBlock {
  std::size_t bytes = 0;
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// The lives of a recording's blocks, counted in commands.
class BlockLives {
 public:
  /// A block begins to live; its number.
  std::size_t begin(std::size_t bytes) {
    blocks_.push_back({bytes, now_, forever});
    return blocks_.size() - 1;
  }
  void end(std::size_t block) { blocks_[block].end = now_; }
  /// Another command was recorded.
  void advance() { ++now_; }
  std::span<const LivingBlock> blocks() const { return blocks_; }

 private:
  static constexpr std::size_t forever = static_cast<std::size_t>(-1);
  std::vector<LivingBlock> blocks_;
  std::size_t now_ = 0;
};

/// Where a block lies.
struct PlannedBlock {
  std::size_t arena = 0;
  std::size_t offset = 0;  // in bytes, a multiple of memory_granule
};

struct MemoryPlan {
  std::vector<PlannedBlock> blocks;  // in the order given
  std::vector<std::size_t> arenas;   // bytes of each
};

/// In bytes.
struct ArenaLimits {
  /// Of the device.
  std::size_t allocation;
  /// Offsets stay below this, and an arena is larger only for a block that is: some drivers want
  /// flags beyond it, and some libraries count elements in 32 bits.
  std::size_t arena = std::size_t{4} << 30;
};

/// Blocks start at multiples of this, so that a vector load may start anywhere, and pages are not
/// shared.
inline constexpr std::size_t memory_granule = 4096;

/// Places every block so that no two that live at the same time overlap: the largest first, each
/// where it fits lowest (greedy by size: Pisarchyk and Lee, "Efficient Memory Management for Deep
/// Neural Net Inference", 2020). Arenas are as large as `limits` allow; what does not fit goes to
/// the next. Throws DeviceError for a block larger than a device allows.
MemoryPlan plan_memory(std::span<const LivingBlock> blocks, const ArenaLimits& limits);

}  // namespace motley
