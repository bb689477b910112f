#include "dist/tree_sum.h"

#include <algorithm>
#include <array>
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#include "tensor/error.h"

namespace motley {
namespace {

bool is_power_of_two(std::size_t n) {
  return n > 0 && (n & (n - 1)) == 0;
}

/// Has the processor treat denormals as zero until the end of the scope. Kernels are built with
/// -cl-denorms-are-zero, and the same sum must have the same bits wherever it is made.
class FlushDenormals {
 public:
#if defined(__SSE__)
  FlushDenormals() : saved_(_mm_getcsr()) {
    _mm_setcsr(saved_ | flush_results | zero_operands);
  }
  ~FlushDenormals() {
    _mm_setcsr(saved_);
  }

 private:
  static constexpr unsigned flush_results = 0x8000;
  static constexpr unsigned zero_operands = 0x0040;
  unsigned saved_;
#elif defined(__aarch64__)
  FlushDenormals() {
    asm volatile("mrs %0, fpcr" : "=r"(saved_));
    asm volatile("msr fpcr, %0" ::"r"(saved_ | flush_to_zero));
  }
  ~FlushDenormals() {
    asm volatile("msr fpcr, %0" ::"r"(saved_));
  }

 private:
  static constexpr unsigned long flush_to_zero = 1ul << 24;
  unsigned long saved_ = 0;
#endif
 public:
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;
};

}  // namespace

std::vector<Range> maximal_nodes(const Range& leaves, std::size_t num_leaves) {
  std::vector<Range> nodes;
  for (std::size_t begin = leaves.begin; begin < leaves.end;) {
    std::size_t size = 1;
    while (begin % (2 * size) == 0 && std::min(begin + 2 * size, num_leaves) <= leaves.end &&
           size < num_leaves)
      size *= 2;
    const std::size_t end = std::min(begin + size, num_leaves);
    nodes.push_back({begin, end});
    begin = end;
  }
  return nodes;
}

bool are_siblings(const Range& left, const Range& right, std::size_t num_leaves) {
  const std::size_t size = left.size();
  return left.end == right.begin && is_power_of_two(size) && left.begin % (2 * size) == 0 &&
         right.end == std::min(left.end + size, num_leaves);
}

MergePlan plan_merges(std::span<const Range> nodes, std::size_t num_leaves) {
  MergePlan plan;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    plan.results.push_back(i);
    plan.nodes.push_back(nodes[i]);
    while (plan.nodes.size() > 1 &&
           are_siblings(plan.nodes[plan.nodes.size() - 2], plan.nodes.back(), num_leaves)) {
      const std::size_t from = plan.results.back();
      const std::size_t end = plan.nodes.back().end;
      plan.results.pop_back();
      plan.nodes.pop_back();
      plan.merges.push_back({plan.results.back(), from});
      plan.nodes.back().end = end;
    }
  }
  return plan;
}

LeafStack::LeafStack(const Range& leaves, std::size_t num_leaves)
    : leaves_(leaves), num_leaves_(num_leaves), next_(leaves.begin) {}

Range LeafStack::climb(std::vector<Range>& kept, std::vector<std::size_t>& adds) const {
  Range node{next_, next_ + 1};
  while (!kept.empty() && are_siblings(kept.back(), node, num_leaves_)) {
    node.begin = kept.back().begin;
    kept.pop_back();
    adds.push_back(kept.size());
  }
  return node;
}

LeafStack::Step LeafStack::end_leaf() {
  Step step;
  const Range node = climb(kept_, step.adds);
  // The last sum stays where its left half was; those before it only pass through.
  step.is_free = step.adds.empty();
  step.slot = kept_.size();
  if (!step.is_free) step.adds.pop_back();
  kept_.push_back(node);
  ++next_;
  return step;
}

std::vector<std::size_t> LeafStack::last_adds() const {
  std::vector<Range> kept = kept_;
  std::vector<std::size_t> adds;
  climb(kept, adds);
  return adds;
}

std::size_t LeafStack::num_slots() const {
  LeafStack rest = *this;
  std::size_t num = kept_.size();
  while (rest.next_ + 1 < leaves_.end) num = std::max(num, rest.end_leaf().slot + 1);
  return num;
}

SumStack::Step SumStack::push(const Range& node, std::size_t num_leaves) {
  if (is_complete() && node == Range{0, num_leaves}) {
    kept_[0] = node;
    num_leaves_ = num_leaves;
    return {};
  }
  require<ShapeError>(
      kept_.empty() ? node.begin == 0 : node.begin == kept_.back().end && num_leaves == num_leaves_,
      "dist.node",
      "the sum of leaves [{}, {}) of {} does not follow those that end with leaf {} "
      "of {}",
      node.begin, node.end, num_leaves, kept_.empty() ? 0 : kept_.back().end, num_leaves_);
  num_leaves_ = num_leaves;
  Step step;
  step.is_free = kept_.empty() || !are_siblings(kept_.back(), node, num_leaves);
  if (step.is_free) {
    kept_.push_back(node);
  } else {
    kept_.back().end = node.end;
  }
  step.slot = kept_.size() - 1;
  num_slots_ = std::max(num_slots_, kept_.size());
  while (kept_.size() > 1 && are_siblings(kept_[kept_.size() - 2], kept_.back(), num_leaves)) {
    const std::size_t end = kept_.back().end;
    kept_.pop_back();
    kept_.back().end = end;
    ++step.num_merges;
  }
  return step;
}

void add_to(std::span<float> into, std::span<const float> from) {
  const FlushDenormals scope;
  float* const y = into.data();
  const float* const x = from.data();
  const std::size_t size = into.size();
  // Sums on the stack overlap with nothing, so that compilers make them with one instruction; one
  // element at a time, the speed depends on where in a cache line the loop happens to lie.
  constexpr std::size_t lanes = 8;
  std::size_t i = 0;
  for (; i + lanes <= size; i += lanes) {
    std::array<float, lanes> sums;
    for (std::size_t lane = 0; lane < lanes; ++lane) sums[lane] = y[i + lane] + x[i + lane];
    std::copy(sums.begin(), sums.end(), y + i);
  }
  for (; i < size; ++i) y[i] += x[i];
}

}  // namespace motley
