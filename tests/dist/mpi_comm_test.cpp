// The communicator cases under mpirun: with messages of the usual size, and with so short ones that
// every vector is cut into many.
#include "dist/mpi_comm.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <sstream>
#include <string>

#include "comm_cases.h"
#include "dist/shard_plan.h"
#include "exchange_cases.h"
#include "mpi_main.h"
#include "tensor/error.h"
#include "tensor/io.h"

namespace motley {
namespace {

class Mpi : public testing::TestWithParam<CommCase> {};

TEST_P(Mpi, Holds) {
  GetParam().run(world());
}

INSTANTIATE_TEST_SUITE_P(Cases, Mpi, testing::ValuesIn(comm_cases()),
                         [](const auto& row) { return row.param.name; });

INSTANTIATE_TEST_SUITE_P(Exchange, Mpi, testing::ValuesIn(exchange_cases()),
                         [](const auto& row) { return row.param.name; });

TEST(MpiComm, CutsVectorsIntoMessagesOfAnySize) {
  for (const std::size_t message_bytes :
       {std::size_t{1}, std::size_t{4}, std::size_t{7}, std::size_t{68}}) {
    MpiComm comm(dynamic_cast<MpiComm&>(world()).thread(), MPI_COMM_WORLD, message_bytes);
    const auto p = static_cast<std::size_t>(comm.size());
    const auto rank = static_cast<std::size_t>(comm.rank());
    for (const std::size_t n :
         {std::size_t{0}, std::size_t{1}, p, 17 * p, 17 * p + 1, std::size_t{301}}) {
      std::vector<Range> shards = split_evenly(n, p);
      if (p > 1) {
        shards[1].begin = 0;
        shards[0] = {0, 0};  // one rank owns nothing, another twice its share
      }
      std::vector<float> values(n, -1.0f);
      for (std::size_t i = shards[rank].begin; i < shards[rank].end; ++i)
        values[i] = static_cast<float>(i);
      comm.all_gather_shards(std::span(values), shards);
      for (std::size_t i = 0; i < n; ++i)
        ASSERT_EQ(values[i], static_cast<float>(i)) << i << " of " << n;
    }
    std::vector<std::byte> bytes(1000, static_cast<std::byte>(comm.rank()));
    comm.broadcast(bytes, comm.size() - 1);
    EXPECT_EQ(bytes, std::vector<std::byte>(1000, static_cast<std::byte>(comm.size() - 1)));
  }
}

TEST(MpiComm, ExchangesShardsOfSeveralFullMessages) {
  const auto p = static_cast<std::size_t>(world().size());
  const std::size_t n = p * (MpiComm::default_message_bytes / sizeof(float) + 3);
  const std::vector<Range> shards = split_evenly(n, p);
  const Range& mine = shards[static_cast<std::size_t>(world().rank())];
  std::vector<float> values(n, -1.0f);
  for (std::size_t i = mine.begin; i < mine.end; ++i) values[i] = static_cast<float>(i % 1021);
  world().all_gather_shards(std::span(values), shards);
  std::size_t num_wrong = 0;
  for (std::size_t i = 0; i < n; ++i) {
    if (values[i] != static_cast<float>(i % 1021)) ++num_wrong;
  }
  EXPECT_EQ(num_wrong, 0u) << "of " << n;
}

/// What the host could give, in bytes.
std::uint64_t available_memory() {
  std::istringstream lines(io::read_system_text("/proc/meminfo"));
  for (std::string key, rest; lines >> key && std::getline(lines, rest);) {
    if (key == "MemAvailable:") return std::stoull(rest) << 10;
  }
  return 0;
}

/// More bytes than an int can count, which MPI has to be given in parts.
TEST(MpiComm, SendsMoreThanTwoGibibytes) {
  if (world().size() != 2) GTEST_SKIP() << "a sender and a receiver are enough";
  constexpr std::uint64_t needed = std::uint64_t{6} << 30;
  const std::int64_t is_enough = world().all_reduce_min(available_memory() >= needed ? 1 : 0);
  if (is_enough == 0) GTEST_SKIP() << "less than 6 GiB of memory are available";
  MpiComm comm(dynamic_cast<MpiComm&>(world()).thread(), MPI_COMM_WORLD, SIZE_MAX);
  const std::size_t n = (std::size_t{1} << 31) / sizeof(std::uint64_t) + 3;
  std::vector<std::uint64_t> words(n);
  const auto word = [](std::size_t i) { return i * 0x9e3779b97f4a7c15u; };
  if (comm.rank() == 0) {
    for (std::size_t i = 0; i < n; ++i) words[i] = word(i);
  }
  comm.broadcast(std::as_writable_bytes(std::span(words)), 0);
  std::size_t num_wrong = 0;
  for (std::size_t i = 0; i < n; ++i)
    if (words[i] != word(i)) ++num_wrong;
  EXPECT_EQ(num_wrong, 0u) << "of " << n;
}

TEST(MpiComm, KnowsThatAllRanksShareThisHost) {
  EXPECT_EQ(world().local_rank(), world().rank());
  EXPECT_EQ(world().local_size(), world().size());
  EXPECT_EQ(world().node(), 0);
}

TEST(MpiComm, TurnsMpiErrorsIntoOurs) {
  if (world().size() < 2) GTEST_SKIP() << "nobody to send to";
  // Unequal sizes: the longer message does not fit. Both directions are tried, so all ranks fail
  // alike.
  std::vector<Range> shards(static_cast<std::size_t>(world().size()), Range{0, 0});
  std::vector<std::byte> values(64);
  const std::size_t size = world().rank() == 0 ? 64 : 32;
  shards[0] = {0, size};
  for (std::size_t r = 1; r < shards.size(); ++r) shards[r] = {size, size};
  if (world().rank() == 0) {
    EXPECT_NO_THROW(world().all_gather_shards(std::span(values), shards));
  } else {
    try {
      world().all_gather_shards(std::span(values), shards);
      FAIL() << "no error";
    } catch (const CommError& error) {
      EXPECT_NE(std::string(error.what()).find("MPI_ERR_TRUNCATE"), std::string::npos)
          << error.what();
      EXPECT_EQ(std::string(error.what()).find(world().name()), 0u) << error.what();
    }
  }
}

}  // namespace
}  // namespace motley
