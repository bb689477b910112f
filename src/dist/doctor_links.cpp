// How fast messages pass from rank to rank.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "dist/doctor.h"
#include "tensor/clock.h"

namespace motley {
namespace {

/// Gathers `bytes` from one rank to all.
void send_from(Communicator& comm, int sender, std::span<std::byte> bytes) {
  const auto ranks = static_cast<std::size_t>(comm.size());
  std::vector<Range> shards(ranks, Range{bytes.size(), bytes.size()});
  std::fill_n(shards.begin(), sender, Range{0, 0});
  shards[static_cast<std::size_t>(sender)] = {0, bytes.size()};
  comm.all_gather_shards(bytes, shards);
}

/// How long each rank waited for `bytes` that `sender` sent to all, in seconds; the shortest of a
/// few times.
std::vector<double> time_from(Communicator& comm, int sender, std::span<std::byte> bytes) {
  constexpr int rounds = 3;
  double best_s = 1e9;
  for (int round = 0; round < rounds; ++round) {
    comm.recorder().renew();
    comm.barrier();
    const auto start = Clock::now();
    send_from(comm, sender, bytes);
    best_s = std::min(best_s, seconds_since(start));
  }
  std::vector<double> all(static_cast<std::size_t>(comm.size()));
  comm.all_gather(std::as_writable_bytes(std::span(all)), std::as_bytes(std::span(&best_s, 1)));
  return all;
}

using Matrix = std::vector<std::vector<double>>;  // [sender][receiver], seconds

Matrix measure(Communicator& comm, std::size_t bytes) {
  std::vector<std::byte> message(bytes);
  Matrix seconds;
  for (int sender = 0; sender < comm.size(); ++sender)
    seconds.push_back(time_from(comm, sender, message));
  return seconds;
}

/// Half the time of there and back, for 8 bytes: one clock measures both ways.
Matrix measure_latency(Communicator& comm) {
  constexpr int rounds = 20;
  const auto ranks = static_cast<std::size_t>(comm.size());
  std::vector<std::byte> message(8);
  Matrix seconds(ranks, std::vector<double>(ranks, 0));
  for (int first = 0; first < comm.size(); ++first) {
    for (int second = first + 1; second < comm.size(); ++second) {
      comm.recorder().renew();
      comm.barrier();
      const auto start = Clock::now();
      for (int round = 0; round < rounds; ++round) {
        send_from(comm, first, message);
        send_from(comm, second, message);
      }
      double one_way_s = seconds_since(start) / (2 * rounds);
      comm.broadcast(std::as_writable_bytes(std::span(&one_way_s, 1)), first);
      const auto a = static_cast<std::size_t>(first);
      const auto b = static_cast<std::size_t>(second);
      seconds[a][b] = seconds[b][a] = one_way_s;
    }
  }
  return seconds;
}

/// One value for each sender and receiver, as rows of text.
template <class Format>
std::string format_matrix(const Matrix& matrix, Format format) {
  std::string text;
  for (std::size_t from = 0; from < matrix.size(); ++from) {
    text += fmt::format("\n        from {:<3}", from);
    for (std::size_t to = 0; to < matrix.size(); ++to)
      text += fmt::format(" {:>8}", from == to ? "-" : format(matrix[from][to]));
  }
  return text;
}

/// The slowest and the median time between two different ranks.
std::pair<double, double> slowest_and_median(const Matrix& matrix) {
  std::vector<double> times;
  for (std::size_t from = 0; from < matrix.size(); ++from) {
    for (std::size_t to = 0; to < matrix.size(); ++to) {
      if (from != to) times.push_back(matrix[from][to]);
    }
  }
  std::sort(times.begin(), times.end());
  return {times.back(), times[times.size() / 2]};
}

}  // namespace

Findings check_links(Communicator& comm) {
  constexpr std::size_t small = 1'000'000;
  constexpr std::size_t large = 16'000'000;
  constexpr int most_ranks_for_large = 16;  // each rank sends to all others
  Findings findings;
  const Matrix latency = measure_latency(comm);
  findings.push_back(
      {Verdict::ok, "latency",
       "microseconds for 8 bytes to each rank" +
           format_matrix(latency, [](double s) { return fmt::format("{:.0f}", s * 1e6); }),
       ""});
  const std::size_t bytes = comm.size() <= most_ranks_for_large ? large : small;
  for (const std::size_t length : {small, bytes}) {
    if (length == small && bytes == small && findings.size() > 1) break;
    const Matrix seconds = measure(comm, length);
    const auto [slowest, median] = slowest_and_median(seconds);
    const std::string value =
        fmt::format("MB/s in {} MB, one rank sending to all", length / 1'000'000) +
        format_matrix(seconds, [&](double s) {
          return fmt::format("{:.0f}", static_cast<double>(length) / 1e6 / s);
        });
    constexpr double uneven = 4;
    const bool is_slow = length == bytes && slowest > uneven * median;
    findings.push_back({is_slow ? Verdict::warn : Verdict::ok, "bandwidth", value,
                        is_slow ? "one link is four times slower than most: check its cable, its "
                                  "port's speed (ethtool) and which network it uses"
                                : ""});
  }
  return findings;
}

}  // namespace motley
