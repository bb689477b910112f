// The one order in which a step's leaves are summed, whoever computed them. Leaves 0 .. G-1 stand
// at the bottom of a binary tree whose inner nodes hold [i 2^l, (i+1) 2^l), cut off at G; a node is
// its left half plus its right half, or the left one where there is no right. A rank sums the
// largest nodes that lie within its leaves, their sums travel, and the owner of an element adds the
// rest. So the bits do not depend on how leaves are split between ranks.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "dist/range.h"

namespace motley {

/// The largest nodes within a range of leaves, in order. A node is named by the leaves it covers.
std::vector<Range> maximal_nodes(const Range& leaves, std::size_t num_leaves);

/// Whether `left` and `right` are the two halves of a node.
bool are_siblings(const Range& left, const Range& right, std::size_t num_leaves);

/// One addition: input `into` becomes input `into` plus input `from`.
struct TreeAdd {
  std::size_t into = 0;
  std::size_t from = 0;
  friend bool operator==(const TreeAdd&, const TreeAdd&) = default;
};

/// How sums of adjacent nodes become sums of larger ones.
struct MergePlan {
  std::vector<TreeAdd> merges;       // in this order
  std::vector<std::size_t> results;  // the inputs that are left
  std::vector<Range> nodes;          // what each of `results` covers then
};

/// Adds all that can be added. nodes: ascending and adjacent, as maximal_nodes of adjacent ranges
/// give them.
MergePlan plan_merges(std::span<const Range> nodes, std::size_t num_leaves);

/// How one rank sums its own leaves one after another, putting the sums of nodes aside in numbered
/// slots until their siblings come: a binary counter.
class LeafStack {
 public:
  LeafStack() = default;
  LeafStack(const Range& leaves, std::size_t num_leaves);

  /// What becomes of a leaf that has been computed and is not the last: first it grows by these
  /// slots, in this order, then it is added to `slot`, or moved there if that is free.
  struct Step {
    std::vector<std::size_t> adds;
    std::size_t slot = 0;
    bool is_free = false;
  };
  Step end_leaf();
  /// What the last leaf grows by.
  std::vector<std::size_t> last_adds() const;
  /// Whether the next leaf is the last; false when there are none.
  bool is_at_last() const { return next_ + 1 == leaves_.end; }
  /// How many slots the leaves that are left take.
  std::size_t num_slots() const;

 private:
  /// The node that the next leaf becomes part of, and the slots that are used up on the way.
  Range climb(std::vector<Range>& kept, std::vector<std::size_t>& adds) const;

  Range leaves_;
  std::size_t num_leaves_ = 0;
  std::size_t next_ = 0;
  std::vector<Range> kept_;  // what lies in slots 0, 1, ...
};

/// How an owner sums nodes whose sums reach it one after another, in ascending order: as LeafStack
/// does with leaves. In the end slot 0 has the sum of the whole tree; a whole tree that comes after
/// another one is added to it.
class SumStack {
 public:
  /// What becomes of a sum that arrives: it is added to `slot`, or copied there if that is free.
  /// Then slot - 1 grows by slot, slot - 2 by slot - 1 and so on, num_merges times.
  struct Step {
    std::size_t slot = 0;
    bool is_free = false;
    std::size_t num_merges = 0;
  };
  /// Throws ShapeError for a node that does not follow the one before.
  Step push(const Range& node, std::size_t num_leaves);
  /// Slots that have been in use at once.
  std::size_t num_slots() const { return num_slots_; }
  /// Whether slot 0 has all there is of a tree.
  bool is_complete() const { return kept_.size() == 1 && kept_[0] == Range{0, num_leaves_}; }

 private:
  std::vector<Range> kept_;  // what lies in slots 0, 1, ...
  std::size_t num_leaves_ = 0;
  std::size_t num_slots_ = 0;
};

/// into[i] += from[i]. Denormals count as zero, as on devices.
void add_to(std::span<float> into, std::span<const float> from);

}  // namespace motley
