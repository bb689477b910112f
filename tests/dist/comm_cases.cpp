#include "comm_cases.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <new>
#include <random>

#include "dist/agree.h"
#include "dist/shard_plan.h"

namespace motley {
namespace {

std::size_t num_ranks(const Communicator& comm) {
  return static_cast<std::size_t>(comm.size());
}
std::size_t own_index(const Communicator& comm) {
  return static_cast<std::size_t>(comm.rank());
}

/// Vector sizes around the number of ranks, odd ones, and a larger one.
std::vector<std::size_t> sizes_for(const Communicator& comm) {
  const std::size_t p = num_ranks(comm);
  return {0, 1, p - 1, p, p + 1, 37, 1023, 4099, (std::size_t{1} << 18) + 3};
}

void all_gather_shards_copies_every_shard(Communicator& comm) {
  for (const std::size_t n : sizes_for(comm)) {
    const std::vector<Range> shards = split_evenly(n, num_ranks(comm));
    std::vector<float> values(n, -1.0f);
    const Range mine = shards[own_index(comm)];
    for (std::size_t i = mine.begin; i < mine.end; ++i) values[i] = static_cast<float>(i % 65521);
    comm.all_gather_shards(values, shards);
    std::size_t num_wrong = 0;
    for (std::size_t i = 0; i < n; ++i)
      if (values[i] != static_cast<float>(i % 65521)) ++num_wrong;
    EXPECT_EQ(num_wrong, 0u) << "of " << n;
  }
}

/// Numbers that are the same on every rank; the seed is in every failure's message.
constexpr std::uint64_t random_seed = 20240917;

/// Sums of doubles of very different sizes against sums in long double, of random lengths.
void all_reduce_of_random_sizes_is_near_the_exact_sum(Communicator& comm) {
  std::mt19937_64 random(random_seed);
  for (int round = 0; round < 20; ++round) {
    const std::size_t n = random() % 5000;
    SCOPED_TRACE(fmt::format("seed {}, round {}, {} values", random_seed, round, n));
    std::vector<double> mine(n);
    std::vector<long double> exact(n, 0);
    std::vector<long double> magnitude(n, 0);
    for (std::size_t r = 0; r < num_ranks(comm); ++r) {
      for (std::size_t i = 0; i < n; ++i) {
        const std::uint64_t bits = random();
        const auto digits = static_cast<double>(static_cast<std::int64_t>(bits));
        const double value = std::ldexp(digits, -static_cast<int>(bits % 64));
        if (r == own_index(comm)) mine[i] = value;
        exact[i] += value;
        magnitude[i] += std::fabs(value);
      }
    }
    comm.all_reduce_sum(std::span(mine));
    std::size_t num_wrong = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const long double bound = magnitude[i] * static_cast<long double>(num_ranks(comm)) * 0x1p-53L;
      if (!(std::fabs(mine[i] - exact[i]) <= bound)) ++num_wrong;
    }
    EXPECT_EQ(num_wrong, 0u);
  }
}

/// Shards of random lengths, many of them empty, with random holes between them.
void all_gather_shards_takes_random_shards(Communicator& comm) {
  std::mt19937_64 random(random_seed);
  for (int round = 0; round < 20; ++round) {
    SCOPED_TRACE(fmt::format("seed {}, round {}", random_seed, round));
    std::vector<Range> shards;
    std::size_t end = 0;
    for (std::size_t r = 0; r < num_ranks(comm); ++r) {
      const std::size_t begin = end + random() % 7;
      end = begin + (random() % 3 == 0 ? 0 : random() % 3000);
      shards.push_back({begin, end});
    }
    const std::size_t n = end + random() % 5;
    std::vector<float> values(n, -1.0f);
    std::vector<float> expected(n, -1.0f);
    for (const Range& shard : shards) {
      for (std::size_t i = shard.begin; i < shard.end; ++i) expected[i] = static_cast<float>(i);
    }
    const Range mine = shards[own_index(comm)];
    for (std::size_t i = mine.begin; i < mine.end; ++i) values[i] = static_cast<float>(i);
    comm.all_gather_shards(values, shards);
    EXPECT_EQ(values, expected);
  }
}

void all_gather_shards_leaves_what_nobody_owns(Communicator& comm) {
  const std::size_t p = num_ranks(comm);
  std::vector<std::byte> values(3 * p + 1, std::byte{9});
  std::vector<Range> shards;
  for (std::size_t r = 0; r < p; ++r) shards.push_back({3 * r, 3 * r + 2});
  values[3 * own_index(comm)] = std::byte{1};
  values[3 * own_index(comm) + 1] = std::byte{2};
  comm.all_gather_shards(std::span(values), shards);
  for (std::size_t r = 0; r < p; ++r) {
    EXPECT_EQ(values[3 * r], std::byte{1});
    EXPECT_EQ(values[3 * r + 1], std::byte{2});
    EXPECT_EQ(values[3 * r + 2], std::byte{9});
  }
  EXPECT_EQ(values.back(), std::byte{9});
}

void shards_that_do_not_fit_are_refused(Communicator& comm) {
  std::vector<float> values(10);
  const auto p = num_ranks(comm);
  EXPECT_THROW(comm.all_gather_shards(std::span(values), std::vector<Range>(p + 1)), ShapeError);
  EXPECT_THROW(comm.all_gather_shards(std::span(values), std::vector<Range>(p, Range{0, 11})),
               ShapeError);
  EXPECT_THROW(comm.all_gather_shards(std::span(values), std::vector<Range>(p, Range{5, 4})),
               ShapeError);
  std::vector<std::byte> all(p + 1);
  EXPECT_THROW(comm.all_gather(all, std::span(all).first(1)), ShapeError);
  EXPECT_THROW(comm.broadcast(all, comm.size()), ShapeError);
  EXPECT_THROW(comm.broadcast(all, -1), ShapeError);
}

void broadcast_reaches_all_from_any_root(Communicator& comm) {
  for (int root = 0; root < comm.size(); ++root) {
    for (const std::size_t n :
         {std::size_t{0}, std::size_t{1}, std::size_t{77}, std::size_t{5} << 20}) {
      std::vector<std::byte> bytes(n, static_cast<std::byte>(comm.rank() + 1));
      comm.broadcast(bytes, root);
      EXPECT_EQ(bytes, std::vector<std::byte>(n, static_cast<std::byte>(root + 1)));
    }
    const auto text_of = [](int rank) {
      return std::string(static_cast<std::size_t>(100 * rank), 'x') + std::string("\n\0end", 5);
    };
    EXPECT_EQ(comm.broadcast_text(text_of(comm.rank()), root), text_of(root));
  }
}

void all_gather_keeps_rank_order(Communicator& comm) {
  const std::vector<int> mine = {comm.rank(), 10 * comm.rank(), -1};
  std::vector<int> all(3 * num_ranks(comm));
  comm.all_gather(std::as_writable_bytes(std::span(all)), std::as_bytes(std::span(mine)));
  for (int r = 0; r < comm.size(); ++r) {
    const auto at = 3 * static_cast<std::size_t>(r);
    EXPECT_EQ(all[at], r);
    EXPECT_EQ(all[at + 1], 10 * r);
  }
  comm.all_gather({}, {});
}

void all_gather_text_takes_any_lengths(Communicator& comm) {
  const auto text_of = [](int rank) {
    return std::string(static_cast<std::size_t>(rank * rank), 'a');
  };
  const std::vector<std::string> texts = comm.all_gather_text(text_of(comm.rank()));
  ASSERT_EQ(texts.size(), num_ranks(comm));
  for (int r = 0; r < comm.size(); ++r) EXPECT_EQ(texts[static_cast<std::size_t>(r)], text_of(r));
}

void all_reduce_of_counts(Communicator& comm) {
  const std::int64_t p = comm.size();
  const std::int64_t value = (std::int64_t{1} << 40) + comm.rank();
  EXPECT_EQ(comm.all_reduce_min(value), std::int64_t{1} << 40);
  EXPECT_EQ(comm.all_reduce_max(value), (std::int64_t{1} << 40) + p - 1);
  EXPECT_EQ(comm.all_reduce_sum(value), p * (std::int64_t{1} << 40) + p * (p - 1) / 2);
  EXPECT_EQ(comm.all_reduce_min(-comm.rank()), 1 - p);
  if (p > 1) {
    EXPECT_THROW((void)comm.all_reduce_sum(std::numeric_limits<std::int64_t>::max()), ShapeError);
  }
}

void all_reduce_of_doubles_has_the_same_bits_everywhere(Communicator& comm) {
  std::vector<double> values = {1e16, 1.0 / (1 + comm.rank()), comm.rank() % 2 == 0 ? 1e16 : -1e16};
  std::vector<double> expected(3, 0.0);
  for (int r = 0; r < comm.size(); ++r) {
    expected[0] += 1e16;
    expected[1] += 1.0 / (1 + r);
    expected[2] += r % 2 == 0 ? 1e16 : -1e16;
  }
  comm.all_reduce_sum(std::span(values));
  EXPECT_EQ(values, expected);
}

void barrier_and_identity(Communicator& comm) {
  comm.barrier();
  EXPECT_GE(comm.rank(), 0);
  EXPECT_LT(comm.rank(), comm.size());
  EXPECT_GE(comm.local_rank(), 0);
  EXPECT_LT(comm.local_rank(), comm.local_size());
  EXPECT_LE(comm.local_size(), comm.size());
  EXPECT_LE(comm.node(), comm.rank());
  EXPECT_FALSE(comm.host().empty());
}

void agree_returns_when_all_succeed(Communicator& comm) {
  EXPECT_EQ(agree(comm, "counting", [&] { return comm.rank() + 1; }), comm.rank() + 1);
  int calls = 0;
  agree(comm, "calling", [&] { ++calls; });
  EXPECT_EQ(calls, 1);
}

void agree_throws_the_lowest_ranks_error_everywhere(Communicator& comm) {
  if (comm.size() == 1) return;
  try {
    agree(comm, "opening the data", [&] {
      if (comm.rank() >= 1) fail<DataError>("data.magic", "shard {} has no header", comm.rank());
    });
    FAIL() << "no error on " << comm.name();
  } catch (const DataError& error) {
    EXPECT_EQ(error.code(), "data.magic");
    EXPECT_EQ(error.exit_code(), ExitCode::data);
    const std::string text = error.what();
    EXPECT_EQ(text.find("rank 1 on "), 0u) << text;
    EXPECT_NE(text.find(", opening the data: shard 1 has no header"), std::string::npos) << text;
    EXPECT_TRUE(is_agreed(error));
  }
}

void agree_keeps_every_type(Communicator& comm) {
  if (comm.size() == 1) return;
  const int last = comm.size() - 1;
  const auto on_last = [&](auto thrower) {
    return [&comm, thrower, last] {
      if (comm.rank() == last) thrower();
    };
  };
  EXPECT_THROW(agree(comm, "p", on_last([] { throw ConfigError("a", "b"); })), ConfigError);
  EXPECT_THROW(agree(comm, "p", on_last([] { throw IoError("io.failed", "b"); })), IoError);
  EXPECT_THROW(agree(comm, "p", on_last([] { throw EnvironmentError("a", "b"); })),
               EnvironmentError);
  EXPECT_THROW(agree(comm, "p", on_last([] { throw CheckpointError("a", "b"); })), CheckpointError);
  EXPECT_THROW(agree(comm, "p", on_last([] { throw NumericError("a", "b"); })), NumericError);
  EXPECT_THROW(agree(comm, "p", on_last([] { throw DeviceError("a", "b"); })), DeviceError);
  EXPECT_THROW(agree(comm, "p", on_last([] { throw CommError("a", "b"); })), CommError);
  try {
    agree(comm, "p", on_last([] { throw std::bad_alloc(); }));
    FAIL() << "no error on " << comm.name();
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), ExitCode::environment);
    EXPECT_EQ(error.code(), "memory.host");
  }
  try {
    agree(comm, "p", on_last([] { throw std::logic_error("a"); }));
    FAIL() << "no error on " << comm.name();
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), ExitCode::internal);
  }
}

void agree_lets_a_lone_ranks_error_pass(Communicator& comm) {
  if (comm.size() > 1) return;
  try {
    agree(comm, "opening", [] { throw DataError("data.magic", "no header"); });
    FAIL();
  } catch (const DataError& error) {
    EXPECT_STREQ(error.what(), "no header");
  }
}

void same_on_all_names_the_lowest_rank_that_differs(Communicator& comm) {
  EXPECT_NO_THROW(same_on_all(comm, "the settings", "a = 1\nb = 2\n"));
  if (comm.size() == 1) return;
  const std::string text = fmt::format("a = 1\nb = {}\n", comm.rank() == 0 ? 2 : 2 + comm.rank());
  try {
    same_on_all(comm, "the settings", text);
    FAIL() << "no error on " << comm.name();
  } catch (const EnvironmentError& error) {
    const std::string message = error.what();
    EXPECT_EQ(message.find("the settings of rank 1 on "), 0u) << message;
    EXPECT_NE(message.find("b = 2\n"), std::string::npos) << message;
    EXPECT_NE(message.find("b = 3\n"), std::string::npos) << message;
    EXPECT_TRUE(is_agreed(error));
  }
}

}  // namespace

const std::vector<CommCase>& comm_cases() {
  static const std::vector<CommCase> cases = {
      {"BarrierAndIdentity", barrier_and_identity},
      {"AllGatherShardsCopiesEveryShard", all_gather_shards_copies_every_shard},
      {"AllGatherShardsTakesRandomShards", all_gather_shards_takes_random_shards},
      {"AllReduceOfRandomSizesIsNearTheExactSum", all_reduce_of_random_sizes_is_near_the_exact_sum},
      {"AllGatherShardsLeavesWhatNobodyOwns", all_gather_shards_leaves_what_nobody_owns},
      {"ShardsThatDoNotFitAreRefused", shards_that_do_not_fit_are_refused},
      {"BroadcastReachesAllFromAnyRoot", broadcast_reaches_all_from_any_root},
      {"AllGatherKeepsRankOrder", all_gather_keeps_rank_order},
      {"AllGatherTextTakesAnyLengths", all_gather_text_takes_any_lengths},
      {"AllReduceOfCounts", all_reduce_of_counts},
      {"AllReduceOfDoublesHasTheSameBitsEverywhere",
       all_reduce_of_doubles_has_the_same_bits_everywhere},
      {"AgreeReturnsWhenAllSucceed", agree_returns_when_all_succeed},
      {"AgreeThrowsTheLowestRanksErrorEverywhere", agree_throws_the_lowest_ranks_error_everywhere},
      {"AgreeKeepsEveryType", agree_keeps_every_type},
      {"AgreeLetsALoneRanksErrorPass", agree_lets_a_lone_ranks_error_pass},
      {"SameOnAllNamesTheLowestRankThatDiffers", same_on_all_names_the_lowest_rank_that_differs},
  };
  return cases;
}

}  // namespace motley
