// What must be equal between ranks, and what they can do together.
#include <fmt/format.h>
#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <numeric>
#include <set>

#include "dist/agree.h"
#include "dist/doctor.h"
#include "dist/launcher.h"
#include "dist/same_build.h"
#include "dist/shard_plan.h"
#include "tensor/clock.h"
#include "tensor/error.h"
#include "tensor/hash.h"

namespace motley {
namespace {

std::string mpi_library() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  if (MPI_Get_library_version(text.data(), &length) != MPI_SUCCESS) return "unknown";
  const std::string_view version(text.data(), static_cast<std::size_t>(length));
  return std::string(version.substr(0, version.find_first_of(",\n")));
}

/// The thread level is what matters to us: FUNNELED is asked for.
std::string thread_level() {
  int started = 0;
  int level = MPI_THREAD_SINGLE;
  MPI_Initialized(&started);
  if (started == 0) return "one process, so MPI is not started";
  MPI_Query_thread(&level);
  return level == MPI_THREAD_SINGLE       ? "no threads"
         : level == MPI_THREAD_FUNNELED   ? "threads: funneled"
         : level == MPI_THREAD_SERIALIZED ? "threads: serialized"
                                          : "threads: multiple";
}

Finding check_mpi_library(Communicator& comm) {
  const std::vector<std::string> all = comm.all_gather_text(mpi_library());
  const auto other =
      std::find_if(all.begin(), all.end(), [&](auto& text) { return text != all[0]; });
  if (other != all.end()) {
    return {Verdict::fail, "mpi",
            fmt::format("{} on rank 0, {} on rank {}", all[0], *other, other - all.begin()),
            "install the same version of Open MPI on every host"};
  }
  const std::string launcher = launcher_name(read_environment);
  return {Verdict::ok, "mpi",
          fmt::format("{}, {}{}", all[0], thread_level(),
                      launcher == "none" ? "" : ", started by " + launcher),
          ""};
}

Finding check_hosts(Communicator& comm) {
  std::map<std::string, std::set<std::string>> nodes_of;  // by host name
  std::map<std::string, int> ranks_of;
  for (const std::string& text :
       comm.all_gather_text(fmt::format("{} {}", comm.node(), comm.host()))) {
    const std::size_t space = text.find(' ');
    nodes_of[text.substr(space + 1)].insert(text.substr(0, space));
    ++ranks_of[text.substr(space + 1)];
  }
  std::string value = fmt::format("{} rank(s):", comm.size());
  std::string twice;
  for (const auto& [host, nodes] : nodes_of) {
    value += fmt::format(" {} {}", host, ranks_of[host]);
    if (nodes.size() > 1) twice = host;
  }
  if (!twice.empty()) {
    return {Verdict::warn, "hosts", value,
            fmt::format("several hosts are called {}, so messages cannot tell them apart: "
                        "hostnamectl set-hostname NAME",
                        twice)};
  }
  return {Verdict::ok, "hosts", value, ""};
}

double now_s() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

/// By how much each rank's clock is ahead of rank 0's, and how well that is known; in seconds.
struct ClockOffset {
  double ahead_s = 0;
  double error_s = 0;
};

/// Rank 0 sends, the others answer with their time: it lies between the two that rank 0 measures.
std::vector<ClockOffset> measure_clocks(Communicator& comm) {
  constexpr int rounds = 8;  // the shortest has the least error
  const auto ranks = static_cast<std::size_t>(comm.size());
  std::vector<ClockOffset> best(ranks, {0, 1e9});
  for (int round = 0; round < rounds; ++round) {
    comm.barrier();
    double sent_s = now_s();
    comm.broadcast(std::as_writable_bytes(std::span(&sent_s, 1)), 0);
    const double mine_s = now_s();
    std::vector<double> times(ranks);
    comm.all_gather(std::as_writable_bytes(std::span(times)), std::as_bytes(std::span(&mine_s, 1)));
    double received_s = now_s();
    comm.broadcast(std::as_writable_bytes(std::span(&received_s, 1)), 0);
    const double error_s = (received_s - sent_s) / 2;
    if (error_s >= best[0].error_s) continue;
    for (std::size_t r = 0; r < ranks; ++r) best[r] = {times[r] - (sent_s + error_s), error_s};
  }
  return best;
}

}  // namespace

Findings check_ranks(Communicator& comm, std::string_view version) {
  const auto program = [&]() -> Findings {
    same_build_on_all(comm, version);
    const std::string build = describe_build(version);
    const std::size_t at = build.find("program ") + 8;
    return {{Verdict::ok, "program",
             fmt::format("motley {}, build {}", version, build.substr(at, 8)), ""}};
  };
  Findings findings = run_check("program", program);
  findings.push_back(check_mpi_library(comm));
  findings.push_back(check_hosts(comm));
  return findings;
}

Findings check_sums(Communicator& comm) {
  // Whole numbers small enough that any order of adding gives the same bits.
  constexpr std::size_t count = 100'003;  // odd, and more than a cache holds
  const auto ranks = static_cast<std::size_t>(comm.size());
  const std::size_t sum_of_numbers = ranks * (ranks + 1) / 2;
  std::vector<double> sums(count);
  for (std::size_t i = 0; i < count; ++i)
    sums[i] = static_cast<double>((i % 97 + 1) * static_cast<std::size_t>(comm.rank() + 1));
  comm.barrier();
  const auto start = Clock::now();
  comm.all_reduce_sum(std::span(sums));
  double spent_ms = seconds_since(start) * 1e3;
  comm.broadcast(std::as_writable_bytes(std::span(&spent_ms, 1)), 0);
  std::int64_t wrong = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (sums[i] != static_cast<double>((i % 97 + 1) * sum_of_numbers)) ++wrong;
  }
  const std::vector<Range> shards = split_evenly(count, ranks);
  std::vector<float> gathered(count, -1.0f);
  const Range mine = shards[static_cast<std::size_t>(comm.rank())];
  for (std::size_t i = mine.begin; i < mine.end; ++i) gathered[i] = static_cast<float>(i);
  comm.all_gather_shards(std::span(gathered), shards);
  for (std::size_t i = 0; i < count; ++i) {
    if (gathered[i] != static_cast<float>(i)) ++wrong;
  }
  const std::int64_t wrong_everywhere = comm.all_reduce_max(wrong);
  if (wrong_everywhere > 0) {
    return {{Verdict::fail, "sums",
             fmt::format("{} of {} values came out wrong", wrong_everywhere, 2 * count),
             "data are damaged on the way: check memory (memtest86+) and network cards, and try "
             "--mca btl_vader_single_copy_mechanism none"}};
  }
  return {{Verdict::ok, "sums",
           fmt::format("{} values summed and gathered exactly; the sum took {:.1f} ms", count,
                       spent_ms),
           ""}};
}

Findings check_clocks(Communicator& comm) {
  const std::vector<ClockOffset> clocks = measure_clocks(comm);
  std::size_t worst_rank = 1;
  for (std::size_t r = 2; r < clocks.size(); ++r) {
    if (std::abs(clocks[r].ahead_s) > std::abs(clocks[worst_rank].ahead_s)) worst_rank = r;
  }
  const ClockOffset& worst_clock = clocks[worst_rank];
  const std::string value =
      fmt::format("rank {}'s clock is {:.3f} ms {} rank 0's, +-{:.3f} ms", worst_rank,
                  std::abs(worst_clock.ahead_s) * 1e3,
                  worst_clock.ahead_s < 0 ? "behind" : "ahead of", worst_clock.error_s * 1e3);
  // What the times of logs, and caches that compare files' times, can bear.
  constexpr double most_s = 1;
  if (std::abs(worst_clock.ahead_s) - worst_clock.error_s > most_s) {
    return {{Verdict::warn, "clocks", value,
             "logs of several hosts will not fit together: apt install chrony"}};
  }
  return {{Verdict::ok, "clocks", value, ""}};
}

Findings check_settings_file(Communicator& comm, const io::Path& file) {
  const auto [hashes, failures] = ask_ranks(comm, "settings", [&] { return hash_of_file(file); });
  if (!failures.empty()) return failures;
  const std::string& first = hashes[0];
  const auto other = std::find_if(hashes.begin(), hashes.end(),
                                  [&](const std::string& hash) { return hash != first; });
  if (other != hashes.end()) {
    return {
        {Verdict::fail, "settings",
         fmt::format("rank {} has another {} than rank 0", other - hashes.begin(), file.string()),
         "copy rank 0's to every host"}};
  }
  return {{Verdict::ok, "settings",
           fmt::format("{}, hash {}, on every rank", file.string(), first.substr(0, 8)), ""}};
}

Findings check_shared_directory(Communicator& comm, const io::Path& directory) {
  const std::string token = comm.broadcast_text(
      fmt::format("{}-{:.6f}", ::getpid(), comm.rank() == 0 ? now_s() : 0.0), 0);
  const auto file = [&] {
    return io::Path(directory == "." ? std::filesystem::current_path()
                                     : std::filesystem::absolute(directory)) /
           (".motley-doctor-" + token);
  };
  agree(comm, "writing to " + directory.string(), [&] {
    if (comm.rank() == 0) io::write_text_atomically(file(), token);
  });
  const auto [answers, failures] = ask_ranks(comm, "shared directory", [&] {
    const bool seen = io::exists(file()) && io::read_text(file(), 4096) == token;
    return (seen ? "+" : "-") + comm.host();
  });
  const std::string path =
      comm.broadcast_text(comm.rank() == 0 ? file().parent_path().string() : "", 0);
  agree(comm, "removing what was written to " + path, [&] {
    if (comm.rank() == 0) io::remove_all(file());
  });
  if (!failures.empty()) return failures;
  std::set<std::string> without;
  for (const std::string& text : answers) {
    if (text.starts_with("-")) without.insert(text.substr(1));
  }
  if (without.empty()) {
    return {{Verdict::ok, "shared directory", fmt::format("every rank sees {}", path), ""}};
  }
  return {
      {Verdict::ok, "shared directory",
       fmt::format("{} is not shared with {}: the run directory is needed on rank 0's host alone, "
                   "settings and data on every host",
                   path, fmt::join(without, ", ")),
       ""}};
}

}  // namespace motley
