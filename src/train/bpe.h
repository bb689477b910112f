// Byte-pair merging of one piece (Sennrich, Haddow and Birch, "Neural Machine Translation of Rare
// Words with Subword Units", 2016), in the order of Hugging Face's `tokenizers`.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace motley {

/// Two neighbouring tokens become one.
struct Merge {
  std::uint32_t left = 0;
  std::uint32_t right = 0;
  std::uint32_t result = 0;
  bool operator==(const Merge&) const = default;
};

/// Merges in the order of their rank, ready to be applied. Immutable: threads may share one.
class BpeMerges {
 public:
  BpeMerges() = default;
  explicit BpeMerges(std::span<const Merge> merges);

  /// Replaces tokens[first...] by what merging them gives: as long as any two neighbours can merge,
  /// the pair of the lowest rank does, the leftmost of equals first. Takes O(n log n) for n tokens.
  void apply(std::vector<std::uint32_t>& tokens, std::size_t first) const;

  /// The rank of a pair, or `none`.
  static constexpr std::uint32_t none = 0xFFFFFFFFu;
  std::uint32_t rank(std::uint32_t left, std::uint32_t right) const;

 private:
  struct Slot {
    std::uint64_t pair = ~std::uint64_t{0};
    std::uint32_t rank = none;
    std::uint32_t result = 0;
  };
  /// The slot that holds a pair, or the empty one where it would stand.
  std::size_t slot_of(std::uint32_t left, std::uint32_t right) const;
  std::uint32_t result(std::uint32_t left, std::uint32_t right) const {
    return slots_[slot_of(left, right)].result;
  }
  void apply_by_scan(std::vector<std::uint32_t>& tokens, std::size_t first) const;
  void apply_by_heap(std::vector<std::uint32_t>& tokens, std::size_t first) const;

  // Open addressing, at most half full: a look-up is nearly always one cache line.
  std::vector<Slot> slots_ = std::vector<Slot>(2);
  unsigned shift_ = 63;
};

}  // namespace motley
