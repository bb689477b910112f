// The exchange of gradients and parameters: sums follow the canonical tree for every split of the
// leaves, every rank's parameters come from their owners.
#include "exchange_cases.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "dist/host_adder.h"
#include "dist/leaf_deal.h"
#include "tensor/error.h"

namespace motley {
namespace {

enum class Values { integers, fractions };

/// Element i of a leaf's gradient: every rank can make those of all leaves. Fractions of very
/// different sizes, so that another order of summation gives other bits.
float value_of(std::size_t leaf, std::size_t i, Values values) {
  std::uint64_t bits = (i + 1) * 0x9e3779b97f4a7c15u + leaf * 0xbf58476d1ce4e5b9u;
  bits ^= bits >> 31;
  const auto integer = static_cast<float>(static_cast<std::int64_t>(bits & 0xffffu) - 0x8000);
  if (values == Values::integers) return integer;
  return std::ldexp(integer, -static_cast<int>((bits >> 20) & 31u));
}

/// The sum over a node by definition: left half plus right half.
float sum_of(const Range& node, std::size_t size, std::size_t num_leaves, std::size_t i,
             Values values) {
  if (size == 1) return value_of(node.begin, i, values);
  const std::size_t middle = node.begin + size / 2;
  if (middle >= num_leaves)
    return sum_of({node.begin, num_leaves}, size / 2, num_leaves, i, values);
  return sum_of({node.begin, middle}, size / 2, num_leaves, i, values) +
         sum_of({middle, node.end}, size / 2, num_leaves, i, values);
}

std::size_t power_of_two_from(std::size_t n) {
  std::size_t power = 1;
  while (power < n) power *= 2;
  return power;
}

float tree_sum_of(std::size_t num_leaves, std::size_t i, Values values) {
  return sum_of({0, num_leaves}, power_of_two_from(num_leaves), num_leaves, i, values);
}

float sum_of_node(const Range& node, std::size_t num_leaves, std::size_t i, Values values) {
  return sum_of(node, power_of_two_from(node.size()), num_leaves, i, values);
}

/// Two buckets, of n and of a few elements, with a hole between them.
std::vector<Range> buckets_of(std::size_t n) {
  return {{0, n}, {n + 5, n + 12}};
}

/// Some ways to divide G leaves between ranks in an order: even, all to one, uneven.
std::vector<LeafPlan> plans_for(std::size_t num_leaves, const std::vector<int>& order) {
  std::vector<LeafPlan> plans = {even_plan(num_leaves, order)};
  std::vector<std::size_t> counts(order.size(), 0);
  counts[static_cast<std::size_t>(order.back())] = num_leaves;
  plans.push_back(plan_of_counts(counts, order));
  std::size_t left = num_leaves;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const bool is_last = i + 1 == order.size();
    const std::size_t share = is_last ? left : std::min(left, (i * 7 + 3) % 5);
    counts[static_cast<std::size_t>(order[i])] = share;
    left -= share;
  }
  plans.push_back(plan_of_counts(counts, order));
  return plans;
}

void fill(Exchange& exchange, const std::vector<Range>& mine, std::size_t num_leaves,
          Values values) {
  for (std::size_t node = 0; node < mine.size(); ++node) {
    const std::size_t slot = node + 1 == mine.size() ? 0 : node + 1;
    const std::span<float> gradient = exchange.gradients({exchange.my_peer(), slot});
    for (std::size_t i = 0; i < gradient.size(); ++i)
      gradient[i] = sum_of_node(mine[node], num_leaves, i, values);
  }
}

void plan_step(Exchange& exchange, const std::vector<Contributions>& rounds) {
  exchange.reserve(exchange.room_for(rounds));
  exchange.plan_step(rounds);
}

void reduce(Communicator& comm, Exchange& exchange) {
  HostAdder adder(exchange);
  comm.run([&] {
    Exchange::pipeline(
        exchange.num_buckets(), [&](std::size_t b) { exchange.start_reduce(b, adder); },
        [&](std::size_t b) { exchange.finish_reduce(b); });
  });
}

/// Owned elements are the tree's sum, bit for bit (or within the wire's rounding), and near the
/// exact one.
void check(const Exchange& exchange, std::size_t num_leaves, Values values, double rounding) {
  std::size_t num_wrong = 0;
  for (std::size_t b = 0; b < exchange.num_buckets(); ++b) {
    const Range owned = exchange.owned(b);
    const std::span<float> sums = exchange.sums(b);
    for (std::size_t i = owned.begin; i < owned.end; ++i) {
      const float sum = sums[i - owned.begin];
      long double exact = 0;
      long double magnitude = 0;
      for (std::size_t leaf = 0; leaf < num_leaves; ++leaf) {
        exact += value_of(leaf, i, values);
        magnitude += std::fabs(value_of(leaf, i, values));
      }
      const long double bound =
          (rounding + static_cast<double>(num_leaves) * std::numeric_limits<float>::epsilon()) *
          magnitude;
      const bool same = rounding > 0 || sum == tree_sum_of(num_leaves, i, values);
      if (!same || std::fabs(sum - exact) > bound) ++num_wrong;
    }
  }
  EXPECT_EQ(num_wrong, 0u) << num_leaves << " leaves";
}

void check_plans(Communicator& comm, const std::vector<Range>& buckets,
                 const std::vector<std::size_t>& leaf_counts, Values values,
                 const ExchangeOptions& options, double rounding) {
  Exchange exchange(comm, buckets.back().end, buckets, options);
  for (const std::size_t num_leaves : leaf_counts) {
    for (const LeafPlan& plan : plans_for(num_leaves, exchange.topology().order())) {
      std::vector<std::vector<Range>> nodes;
      for (const Range& range : plan.ranges) nodes.push_back(maximal_nodes(range, num_leaves));
      comm.barrier();  // nobody reads the sums of the step before any more
      plan_step(exchange, {{nodes, num_leaves}});
      exchange.begin_round();
      fill(exchange, nodes[static_cast<std::size_t>(comm.rank())], num_leaves, values);
      reduce(comm, exchange);
      check(exchange, num_leaves, values, rounding);
    }
  }
}

void check_all_plans(Communicator& comm, std::size_t n, Values values,
                     const ExchangeOptions& options, double rounding) {
  check_plans(comm, buckets_of(n), {1, 2, 5, 8, 13}, values, options, rounding);
}

/// Around the number of ranks and of owners' blocks.
std::vector<std::size_t> sizes_for(const Communicator& comm) {
  const auto p = static_cast<std::size_t>(comm.size());
  return {1, p - 1 == 0 ? 2 : p - 1, p, p + 1, 37, 4095, 4096 * p, 4096 * p + 1, 20011};
}

void exchange_sums_integers_exactly(Communicator& comm) {
  for (const std::size_t n : sizes_for(comm)) check_all_plans(comm, n, Values::integers, {}, 0);
}

/// Buckets of any length, also of none and of fewer elements than there are ranks, with holes.
void exchange_sums_buckets_of_random_sizes(Communicator& comm) {
  constexpr std::uint64_t seed = 20240917;
  std::mt19937_64 random(seed);  // the same on every rank
  for (int round = 0; round < 6; ++round) {
    SCOPED_TRACE(fmt::format("seed {}, round {}", seed, round));
    std::vector<Range> buckets;
    std::size_t end = 0;
    for (const std::size_t most : {1u, 9u, 9u, 6000u, 1u, 300u}) {
      const std::size_t begin = end + random() % 10;
      end = begin + random() % most;
      buckets.push_back({begin, end});
    }
    const std::size_t num_leaves = 1 + random() % 16;
    check_plans(comm, buckets, {num_leaves}, Values::fractions,
                {.shared_memory = random() % 2 == 0}, 0);
  }
}

void exchange_follows_the_tree(Communicator& comm) {
  for (const std::size_t n : {std::size_t{37}, std::size_t{20011}})
    check_all_plans(comm, n, Values::fractions, {}, 0);
}

void exchange_follows_the_tree_without_shared_memory(Communicator& comm) {
  for (const std::size_t n : {std::size_t{37}, std::size_t{20011}})
    check_all_plans(comm, n, Values::fractions, {.shared_memory = false}, 0);
}

/// Each of the ranks' sums is rounded once to 8 bits.
void exchange_through_bf16_rounds_once(Communicator& comm) {
  check_all_plans(comm, 20011, Values::fractions, {.wire = Wire::bf16, .shared_memory = false},
                  1.0 / 256);
}

/// Leaves are dealt in rounds, and every other bucket lies in the same place, so that nobody may
/// write before all of the host have added.
class RoundsCase {
 public:
  RoundsCase(Communicator& comm, std::size_t n, const ExchangeOptions& options)
      : comm_(comm),
        buckets_{{0, n}, {n + 5, n + 12}, {n + 12, n + 13 + n / 2}, {n + 13 + n / 2, 2 * n + 20}},
        exchange_(comm, buckets_.back().end, buckets_, options, memory_of(buckets_)),
        adder_(exchange_) {}

  /// All sums of a step. each_alone: a round is a tree of its own, as with sums that need not be
  /// exact.
  void run(const LeafPlan& plan, Values values, bool each_alone = false) {
    const LeafDeal deal = deal_leaves(plan, exchange_.topology().order(), Dealing::rounds);
    std::vector<Contributions> rounds;
    for (const LeafDeal::Round& round : deal.rounds) {
      Contributions& all = rounds.emplace_back();
      all.nodes.resize(round.size());
      all.num_leaves = each_alone ? 0 : deal.num_leaves;
      for (const int rank : exchange_.topology().order()) {
        const auto r = static_cast<std::size_t>(rank);
        if (round[r].empty()) continue;
        all.nodes[r] = {each_alone ? Range{all.num_leaves, all.num_leaves + 1} : round[r]};
        if (each_alone) ++all.num_leaves;
      }
    }
    comm_.barrier();
    exchange_.reserve(exchange_.room_for(rounds));
    comm_.run([&] {
      exchange_.plan_step(rounds);
      for (const LeafDeal::Round& round : deal.rounds)
        reduce_round(round[static_cast<std::size_t>(comm_.rank())], values);
    });
    check(exchange_, deal.num_leaves, values, 0);
  }

  const std::vector<int>& order() const { return order_; }

 private:
  static GradientMemory memory_of(const std::vector<Range>& buckets) {
    const std::size_t place = std::max(buckets[0].size(), buckets[2].size());
    return {.begin = {0, place, 0, place},
            .size = place + std::max(buckets[1].size(), buckets[3].size()),
            .sums = SumPlace::apart};
  }

  void reduce_round(const Range& mine, Values values) {
    exchange_.begin_round();
    ++round_;
    const auto start = [&](std::size_t b) {
      if (!mine.empty()) {
        // Where bucket b lies, b + 2 was before it: of this round, or of the one before.
        comm_.wait_until(
            [&] { return exchange_.is_released((b + 2) % 4, b < 2 ? round_ - 1 : round_); });
        const std::span<float> gradient =
            exchange_.gradients({exchange_.my_peer(), 0}, buckets_[b]);
        for (std::size_t i = 0; i < gradient.size(); ++i)
          gradient[i] = value_of(mine.begin, buckets_[b].begin + i, values);
      }
      exchange_.start_reduce(b, adder_);
    };
    const auto finish = [&](std::size_t b) {
      exchange_.finish_reduce(b);
      exchange_.release(b);
    };
    Exchange::pipeline(buckets_.size(), start, finish, 2);
  }

  Communicator& comm_;
  std::vector<Range> buckets_;
  Exchange exchange_;
  HostAdder adder_;
  std::vector<int> order_ = exchange_.topology().order();
  std::uint64_t round_ = 0;
};

void check_rounds(Communicator& comm, const ExchangeOptions& options) {
  for (const std::size_t n : {std::size_t{37}, std::size_t{20011}}) {
    RoundsCase rounds(comm, n, options);
    for (const std::size_t num_leaves :
         {std::size_t{1}, std::size_t{2}, std::size_t{5}, std::size_t{8}, std::size_t{13}}) {
      for (const LeafPlan& plan : plans_for(num_leaves, rounds.order()))
        rounds.run(plan, Values::fractions);
    }
  }
}

void exchange_in_rounds_follows_the_tree(Communicator& comm) {
  check_rounds(comm, {});
}

void exchange_in_rounds_follows_the_tree_without_shared_memory(Communicator& comm) {
  check_rounds(comm, {.shared_memory = false});
}

void exchange_adds_rounds_with_a_tree_each(Communicator& comm) {
  RoundsCase rounds(comm, 4097, {});
  for (const LeafPlan& plan : plans_for(13, rounds.order()))
    rounds.run(plan, Values::integers, true);
}

void exchange_is_longer_than_a_message(Communicator& comm) {
  const std::size_t n = (std::size_t{2} << 20) * static_cast<std::size_t>(comm.size()) + 4097;
  Exchange exchange(comm, n, {{0, n}}, {.shared_memory = false});
  const auto p = static_cast<std::size_t>(comm.size());
  const LeafPlan plan = even_plan(p, exchange.topology().order());
  std::vector<std::vector<Range>> nodes;
  for (const Range& range : plan.ranges) nodes.push_back(maximal_nodes(range, p));
  plan_step(exchange, {{nodes, p}});
  exchange.begin_round();
  const auto before = comm.recorder().status().sequence;
  const auto rank = static_cast<std::size_t>(comm.rank());
  const std::span<float> gradient = exchange.gradients({exchange.my_peer(), 0});
  for (std::size_t i = 0; i < n; ++i) gradient[i] = static_cast<float>((rank + 1) * (i % 1021));
  reduce(comm, exchange);
  const Range owned = exchange.owned(0);
  std::size_t num_wrong = 0;
  for (std::size_t i = owned.begin; i < owned.end; ++i) {
    if (gradient[i] != static_cast<float>(p * (p + 1) / 2 * (i % 1021))) ++num_wrong;
  }
  const std::size_t moved = sizeof(float) * (n + (p - 2) * owned.size());  // both ways
  for (const RecordedOperation& op : comm.recorder().snapshot().operations) {
    const bool is_it = op.sequence > before && op.name[0] == 'r';  // "reduce-scatter"
    if (is_it && op.bytes != moved) ++num_wrong;
  }
  EXPECT_EQ(num_wrong, 0u);
}

/// Parameters of type T.
template <class T>
void check_gather(Communicator& comm, bool shared_memory) {
  for (const std::size_t n : sizes_for(comm)) {
    const std::vector<Range> buckets = buckets_of(n);
    Exchange exchange(comm, buckets.back().end, buckets,
                      {.shared_memory = shared_memory, .values = dtype_of<T>});
    const LeafPlan plan = even_plan(1, exchange.topology().order());
    for (std::size_t step = 0; step < 3; ++step) {
      std::vector<std::vector<Range>> nodes;
      for (const Range& range : plan.ranges) nodes.push_back(maximal_nodes(range, 1));
      comm.barrier();
      plan_step(exchange, {{nodes, 1}});
      const auto value = [step](std::size_t i) { return static_cast<T>(step * 1000 + i % 777); };
      const std::span<std::byte> bytes = exchange.values(exchange.my_peer());
      const std::span<T> mine(reinterpret_cast<T*>(bytes.data()), bytes.size() / sizeof(T));
      ASSERT_EQ(mine.size(), buckets.back().end);
      const T nothing = 60000;
      std::fill(mine.begin(), mine.end(), nothing);
      std::vector<T> all(mine.size(), nothing);
      comm.barrier();
      for (std::size_t b = 0; b < exchange.num_buckets(); ++b) {
        const Range owned = exchange.owned(b);
        for (std::size_t i = owned.begin; i < owned.end; ++i) mine[i] = all[i] = value(i);
      }
      comm.run([&] {
        const auto take = [&](const Range& part, std::span<const std::byte> from) {
          ASSERT_EQ(from.size(), part.size() * sizeof(T));
          std::memcpy(all.data() + part.begin, from.data(), from.size());
        };
        Exchange::pipeline(
            exchange.num_buckets(), [&](std::size_t b) { exchange.start_gather(b); },
            [&](std::size_t b) { exchange.finish_gather(b, take); });
      });
      std::size_t num_wrong = 0;
      for (const Range& bucket : buckets) {
        for (std::size_t i = bucket.begin; i < bucket.end; ++i) num_wrong += all[i] != value(i);
      }
      EXPECT_EQ(num_wrong, 0u) << n << " in step " << step;
    }
  }
}

void exchange_gathers_from_owners(Communicator& comm) {
  check_gather<float>(comm, true);
  check_gather<std::uint16_t>(comm, true);
}

void exchange_gathers_without_shared_memory(Communicator& comm) {
  check_gather<float>(comm, false);
  check_gather<std::uint16_t>(comm, false);
}

void exchange_refuses_leaves_out_of_order(Communicator& comm) {
  if (comm.size() < 2) return;
  Exchange exchange(comm, 10, {{0, 10}}, {});
  std::vector<std::vector<Range>> nodes(static_cast<std::size_t>(comm.size()));
  nodes[0] = {{1, 2}};
  nodes[1] = {{0, 1}};
  EXPECT_THROW(plan_step(exchange, {{nodes, 2}}), ShapeError);
}

}  // namespace

const std::vector<CommCase>& exchange_cases() {
  static const std::vector<CommCase> cases = {
      {"ExchangeSumsIntegersExactly", exchange_sums_integers_exactly},
      {"ExchangeSumsBucketsOfRandomSizes", exchange_sums_buckets_of_random_sizes},
      {"ExchangeFollowsTheTree", exchange_follows_the_tree},
      {"ExchangeFollowsTheTreeWithoutSharedMemory",
       exchange_follows_the_tree_without_shared_memory},
      {"ExchangeInRoundsFollowsTheTree", exchange_in_rounds_follows_the_tree},
      {"ExchangeInRoundsFollowsTheTreeWithoutSharedMemory",
       exchange_in_rounds_follows_the_tree_without_shared_memory},
      {"ExchangeAddsRoundsWithATreeEach", exchange_adds_rounds_with_a_tree_each},
      {"ExchangeThroughBf16RoundsOnce", exchange_through_bf16_rounds_once},
      {"ExchangeIsLongerThanAMessage", exchange_is_longer_than_a_message},
      {"ExchangeGathersFromOwners", exchange_gathers_from_owners},
      {"ExchangeGathersWithoutSharedMemory", exchange_gathers_without_shared_memory},
      {"ExchangeRefusesLeavesOutOfOrder", exchange_refuses_leaves_out_of_order},
  };
  return cases;
}

}  // namespace motley
