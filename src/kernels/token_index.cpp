#include "kernels/token_index.h"

#include <algorithm>
#include <cstddef>
#include <numeric>

#include "tensor/checked.h"

namespace motley {

HostTokenIndex index_tokens(std::span<const std::int32_t> tokens) {
  const auto num_tokens = narrow<std::int32_t>(tokens.size());
  const auto token_at = [&](std::int32_t position) {
    return tokens[static_cast<std::size_t>(position)];
  };
  HostTokenIndex index;
  index.positions.resize(tokens.size());
  std::iota(index.positions.begin(), index.positions.end(), 0);
  std::stable_sort(index.positions.begin(), index.positions.end(),
                   [&](std::int32_t a, std::int32_t b) { return token_at(a) < token_at(b); });
  for (std::int32_t i = 0; i < num_tokens; ++i) {
    const std::int32_t token = token_at(index.positions[static_cast<std::size_t>(i)]);
    if (!index.rows.empty() && index.rows.back() == token) continue;
    index.rows.push_back(token);
    index.starts.push_back(i);
  }
  index.starts.push_back(num_tokens);
  return index;
}

}  // namespace motley
