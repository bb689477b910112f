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

 private:
  /// The node that the next leaf becomes part of, and the slots that are used up on the way.
  Range climb(std::vector<Range>& kept, std::vector<std::size_t>& adds) const;

  Range leaves_;
  std::size_t num_leaves_ = 0;
  std::size_t next_ = 0;
  std::vector<Range> kept_;  // what lies in slots 0, 1, ...
};

/// into[i] += from[i]. Denormals count as zero, as on devices.
void add_to(std::span<float> into, std::span<const float> from);

}  // namespace motley
