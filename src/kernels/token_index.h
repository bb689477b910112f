// The host part of op::TokenIndex: grouping a batch's positions by token, when the batch is
// prepared.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace motley {

/// Token rows[u] stands at positions[starts[u]] .. positions[starts[u + 1] - 1]. Rows ascend, and
/// so do the positions of a row. rows: [U]; starts: [U + 1]; positions: [N].
struct HostTokenIndex {
  std::vector<std::int32_t> rows;
  std::vector<std::int32_t> starts;
  std::vector<std::int32_t> positions;
};

/// The index of `tokens`. Any values are accepted; whether the table has them is the op's question.
/// Takes n log n time. Throws ShapeError for more positions than an int32 can count.
HostTokenIndex index_tokens(std::span<const std::int32_t> tokens);

}  // namespace motley
