#include "tensor/memory_plan.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "tensor/checked.h"
#include "tensor/error.h"

namespace motley {
namespace {

struct Stretch {
  std::size_t begin;
  std::size_t end;
};

/// The blocks of one arena that have a place.
class Arena {
 public:
  /// The lowest offset where a block of this size and life fits, if that is within `most` bytes.
  std::optional<std::size_t> find(const LivingBlock& block, std::size_t bytes,
                                  std::size_t most) const {
    std::vector<Stretch> taken;
    for (const auto& [other, stretch] : placed_) {
      if (block.begin < other.end && other.begin < block.end) taken.push_back(stretch);
    }
    std::sort(taken.begin(), taken.end(),
              [](const Stretch& a, const Stretch& b) { return a.begin < b.begin; });
    std::size_t offset = 0;
    for (const Stretch& stretch : taken) {
      if (stretch.begin >= offset + bytes) break;
      offset = std::max(offset, stretch.end);
    }
    if (offset > most || bytes > most - offset) return std::nullopt;
    return offset;
  }

  void place(const LivingBlock& block, std::size_t offset, std::size_t bytes) {
    placed_.push_back({block, {offset, offset + bytes}});
    bytes_ = std::max(bytes_, offset + bytes);
  }

  std::size_t bytes() const { return bytes_; }

 private:
  struct Placed {
    LivingBlock block;
    Stretch stretch;
  };
  std::vector<Placed> placed_;
  std::size_t bytes_ = 0;
};

}  // namespace

MemoryPlan plan_memory(std::span<const LivingBlock> blocks, const ArenaLimits& limits) {
  std::vector<std::size_t> by_size(blocks.size());
  std::iota(by_size.begin(), by_size.end(), std::size_t{0});
  std::stable_sort(by_size.begin(), by_size.end(),
                   [&](std::size_t a, std::size_t b) { return blocks[a].bytes > blocks[b].bytes; });
  MemoryPlan plan{.blocks = std::vector<PlannedBlock>(blocks.size()), .arenas = {}};
  std::vector<Arena> arenas;
  for (const std::size_t i : by_size) {
    const LivingBlock& block = blocks[i];
    const std::size_t bytes = round_up(std::max<std::size_t>(block.bytes, 1), memory_granule);
    require<DeviceError>(bytes <= limits.allocation, "memory.max-allocation",
                         "a buffer of {} bytes was asked for; this device allows at most {} in one "
                         "buffer: use a smaller micro-batch or model",
                         bytes, limits.allocation);
    const std::size_t most = std::max(bytes, std::min(limits.arena, limits.allocation));
    for (std::size_t arena = 0;; ++arena) {
      if (arena == arenas.size()) arenas.emplace_back();
      const auto offset = arenas[arena].find(block, bytes, most);
      if (!offset) continue;
      arenas[arena].place(block, *offset, bytes);
      plan.blocks[i] = {arena, *offset};
      break;
    }
  }
  for (const Arena& arena : arenas) plan.arenas.push_back(arena.bytes());
  return plan;
}

}  // namespace motley
