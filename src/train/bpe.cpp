#include "train/bpe.h"

#include <algorithm>
#include <array>
#include <bit>
#include <queue>
#include <tuple>

#include "tensor/checked.h"

namespace motley {
namespace {

/// Up to here looking at all pairs before each merge beats a heap. Nearly all words are shorter.
constexpr std::size_t longest_scan = 48;

constexpr std::uint32_t nowhere = 0xFFFFFFFFu;

std::uint64_t pair_of(std::uint32_t left, std::uint32_t right) {
  return (std::uint64_t{left} << 32) | right;
}

/// A token of a long piece, linked to its neighbours. Merging keeps the left node and drops the
/// right.
struct Node {
  std::uint32_t token = 0;
  std::uint32_t previous = nowhere;
  std::uint32_t next = nowhere;
};

/// A pair that could merge when it was found; its tokens tell whether it still can.
struct Candidate {
  std::uint32_t rank = 0;
  std::uint32_t at = 0;
  std::uint32_t left = 0;
  std::uint32_t right = 0;
  bool operator>(const Candidate& other) const {
    return std::tie(rank, at) > std::tie(other.rank, other.at);
  }
};

}  // namespace

BpeMerges::BpeMerges(std::span<const Merge> merges)
    : slots_(std::bit_ceil(2 * merges.size() + 2)),
      shift_(64u - static_cast<unsigned>(std::countr_zero(slots_.size()))) {
  for (std::uint32_t rank = 0; rank < merges.size(); ++rank) {
    const Merge& merge = merges[rank];
    slots_[slot_of(merge.left, merge.right)] = {pair_of(merge.left, merge.right), rank,
                                                merge.result};
  }
}

std::size_t BpeMerges::slot_of(std::uint32_t left, std::uint32_t right) const {
  const std::uint64_t pair = pair_of(left, right);
  constexpr std::uint64_t golden =
      0x9E3779B97F4A7C15u;  // Fibonacci hashing: the upper bits are mixed
  std::size_t at = (pair * golden) >> shift_;
  while (slots_[at].pair != pair && slots_[at].rank != none) at = (at + 1) & (slots_.size() - 1);
  return at;
}

std::uint32_t BpeMerges::rank(std::uint32_t left, std::uint32_t right) const {
  return slots_[slot_of(left, right)].rank;
}

void BpeMerges::apply(std::vector<std::uint32_t>& tokens, std::size_t first) const {
  if (tokens.size() - first <= longest_scan) {
    apply_by_scan(tokens, first);
  } else {
    apply_by_heap(tokens, first);
  }
}

void BpeMerges::apply_by_scan(std::vector<std::uint32_t>& tokens, std::size_t first) const {
  std::array<std::uint32_t, longest_scan> ranks;  // ranks[i] of the tokens i and i + 1
  std::size_t count = tokens.size() - first;
  std::uint32_t* const t = tokens.data() + first;
  for (std::size_t i = 0; i + 1 < count; ++i) ranks[i] = rank(t[i], t[i + 1]);
  while (count > 1) {
    const auto best =
        std::min_element(ranks.begin(), ranks.begin() + static_cast<std::ptrdiff_t>(count - 1));
    if (*best == none) break;
    const auto i = static_cast<std::size_t>(best - ranks.begin());
    t[i] = result(t[i], t[i + 1]);
    std::copy(t + i + 2, t + count, t + i + 1);
    if (i + 2 < count)
      std::copy(ranks.data() + i + 2, ranks.data() + count - 1, ranks.data() + i + 1);
    --count;
    if (i > 0) ranks[i - 1] = rank(t[i - 1], t[i]);
    if (i + 1 < count) ranks[i] = rank(t[i], t[i + 1]);
  }
  tokens.resize(first + count);
}

void BpeMerges::apply_by_heap(std::vector<std::uint32_t>& tokens, std::size_t first) const {
  const auto count = narrow<std::uint32_t>(tokens.size() - first);
  std::vector<Node> nodes(count);
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto consider = [&](std::uint32_t at) {
    if (at == nowhere || nodes[at].next == nowhere) return;
    const std::uint32_t left = nodes[at].token;
    const std::uint32_t right = nodes[nodes[at].next].token;
    const std::uint32_t found = rank(left, right);
    if (found != none) queue.push({found, at, left, right});
  };
  for (std::uint32_t i = 0; i < count; ++i) {
    nodes[i] = {tokens[first + i], i == 0 ? nowhere : i - 1, i + 1 == count ? nowhere : i + 1};
  }
  for (std::uint32_t i = 0; i < count; ++i) consider(i);

  constexpr std::uint32_t dropped = none;  // no token: ids are below the number of tokens
  while (!queue.empty()) {
    const Candidate c = queue.top();
    queue.pop();
    Node& node = nodes[c.at];
    if (node.token != c.left || node.next == nowhere || nodes[node.next].token != c.right) continue;
    Node& right = nodes[node.next];
    node.token = result(c.left, c.right);
    right.token = dropped;
    node.next = right.next;
    if (node.next != nowhere) nodes[node.next].previous = c.at;
    consider(node.previous);
    consider(c.at);
  }
  tokens.resize(first);
  for (std::uint32_t i = 0; i != nowhere; i = nodes[i].next) tokens.push_back(nodes[i].token);
}

}  // namespace motley
