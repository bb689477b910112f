#include "train/suggest.h"

#include <fmt/core.h>

#include <algorithm>
#include <vector>

namespace motley {
namespace {

constexpr std::size_t shortest_shared_word = 4;

/// Longest run of characters that both contain.
std::size_t longest_shared_run(std::string_view a, std::string_view b) {
  std::size_t best = 0;
  std::vector<std::size_t> run(b.size() + 1, 0);
  for (const char c : a) {
    for (std::size_t j = b.size(); j > 0; --j) {
      run[j] = c == b[j - 1] ? run[j - 1] + 1 : 0;
      best = std::max(best, run[j]);
    }
  }
  return best;
}

}  // namespace

std::size_t edit_distance(std::string_view a, std::string_view b) {
  const std::size_t columns = b.size() + 1;
  std::vector<std::size_t> before_last(columns, 0);
  std::vector<std::size_t> last(columns, 0);
  std::vector<std::size_t> row(columns, 0);
  for (std::size_t j = 0; j < columns; ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before_last.swap(last);
    last.swap(row);
    row[0] = i;
    for (std::size_t j = 1; j < columns; ++j) {
      const std::size_t replace = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({replace, last[j] + 1, row[j - 1] + 1});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
  }
  return row[b.size()];
}

std::string nearest(std::string_view name, std::span<const std::string> candidates) {
  const std::size_t allowed = std::max<std::size_t>(1, name.size() / 3);
  std::string best;
  std::size_t fewest = allowed + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t edits = edit_distance(name, candidate);
    if (edits < fewest) {
      fewest = edits;
      best = candidate;
    }
  }
  if (!best.empty()) return best;

  std::size_t longest = shortest_shared_word - 1;
  for (const std::string& candidate : candidates) {
    const std::size_t shared = longest_shared_run(name, candidate);
    if (shared > longest) {
      longest = shared;
      best = candidate;
    }
  }
  return best;
}

std::string suggestion(std::string_view name, std::span<const std::string> candidates) {
  const std::string best = nearest(name, candidates);
  return best.empty() ? "" : fmt::format("; did you mean '{}'?", best);
}

}  // namespace motley
