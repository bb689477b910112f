// Where a rank has its gradients when it does not keep all of them: blocks of layers take turns in
// a few places.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "dist/range.h"
#include "model/params.h"

namespace motley {

/// A rank's memory for gradients: one buffer a region, in which one block or several in turn lie at
/// the beginning.
struct GradientRegions {
  /// What lay in a block's region before it: a block, of this leaf or the one before.
  struct Before {
    std::size_t block = 0;
    std::uint64_t rounds = 0;  // ago
    friend bool operator==(const Before&, const Before&) = default;
  };
  std::vector<Range> regions;          // in elements of that memory
  std::vector<std::size_t> of_block;   // the region of each block
  std::vector<std::size_t> begins_at;  // by block: the first stage that writes to it
  std::vector<Before> before;          // by block

  std::size_t size() const { return regions.empty() ? 0 : regions.back().end; }
  /// Where each bucket's gradients are.
  std::vector<std::size_t> bucket_begins(const ParamLayout& layout) const;
};

/// A region for each block, as in the row of all parameters.
GradientRegions whole_gradients(const ParamLayout& layout);

/// How many places the blocks of layers share: backward writes to one while the exchange works on
/// the others. One less than so many buckets may be under way: then a place becomes free while
/// backward still works on the block before the one that needs it.
constexpr std::size_t ring_places = 3;

/// Blocks that hold parameters of layers alone take turns in ring_places places. Those with
/// parameters outside the layers have places of their own and begin with stage 0, because a tied
/// embedding is written to at both ends of backward.
GradientRegions ring_of_gradients(const ParamLayout& layout);

}  // namespace motley
