// Placing a rank: asks the operating system and the other ranks, and applies what placement.cpp
// decides to the affinity mask and to PoCL's environment.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <set>
#include <system_error>

#include "dist/launcher.h"
#include "dist/placement.h"
#include "dist/placement_topology.h"
#include "tensor/error.h"
#include "tensor/io.h"

namespace motley {
namespace {

char letter(CoreNeed need) {
  return need == CoreNeed::device ? 'd' : need == CoreNeed::host ? 'h' : 'u';
}

CoreNeed need_from(char c) {
  return c == 'd' ? CoreNeed::device : c == 'h' ? CoreNeed::host : CoreNeed::unknown;
}

/// What the ranks of this host may use and want, by local rank.
std::vector<RankCores> gather_masks(Communicator& comm, const RankCores& mine) {
  // Ranks of one host come in the order of their local ranks, because these follow the global
  // ranks.
  const std::string node = fmt::format("{}:", comm.node());
  const std::string mask = format_processors(mine.mask);
  std::vector<RankCores> ranks;
  for (const std::string& text :
       comm.all_gather_text(fmt::format("{}{}{}", node, letter(mine.need), mask))) {
    if (!text.starts_with(node)) continue;
    // Only equality with this rank's own mask matters; others' processors are not this rank's to
    // use.
    const bool same = std::string_view(text).substr(node.size() + 1) == mask;
    ranks.push_back({same ? mine.mask : std::vector<Processor>{}, need_from(text[node.size()])});
  }
  return ranks;
}

bool can_write_below(const io::Path& directory) {
  try {
    io::create_directories(directory);
  } catch (const IoError&) {
    return false;  // the caller has another place
  }
  return io::is_writable_directory(directory);
}

/// Sets a variable of PoCL, which has not been loaded yet, unless it is set.
void set_default(const char* variable, const std::string& value) {
  ::setenv(variable, value.c_str(), 0);  // NOLINT(concurrency-mt-unsafe): no other thread reads it
}

/// Gives PoCL a cache directory when it could not write to its own: it finds no device then. The
/// replacement is private, for PoCL loads and runs what it finds there.
void choose_pocl_cache(Placement& placement) {
  if (std::getenv("POCL_CACHE_DIR") != nullptr) return;
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  if (cache != nullptr && can_write_below(io::Path(cache) / "pocl")) return;
  if (cache == nullptr && home != nullptr && can_write_below(io::Path(home) / ".cache/pocl"))
    return;
  const char* temporary = std::getenv("TMPDIR");
  const io::Path fallback = io::Path(temporary != nullptr ? temporary : "/tmp") /
                            fmt::format("motley-pocl-{}", ::geteuid());
  try {
    io::create_private_directory(fallback);
    set_default("POCL_CACHE_DIR", fallback.string());
    placement.pocl_cache = fallback.string();
  } catch (const IoError& error) {
    placement.warnings.push_back(
        fmt::format("PoCL has no directory for its cache and may offer no device: {}\n"
                    "  fix: set POCL_CACHE_DIR to a directory you can write to",
                    error.what()));
  }
}

void choose_threads(Placement& placement) {
  placement.num_threads = static_cast<int>(placement.cores.size());
  placement.threads_origin = "this rank's cores";
  // The older name of the two is the one Debian 12's PoCL knows.
  for (const char* name : {"POCL_CPU_MAX_CU_COUNT", "POCL_MAX_PTHREAD_COUNT"}) {
    const char* set = std::getenv(name);
    if (set != nullptr) {
      const std::string_view text = set;
      std::from_chars(text.data(), text.data() + text.size(), placement.num_threads);
      placement.threads_origin = name;
    } else {
      set_default(name, std::to_string(placement.cores.size()));
    }
  }
}

bool user_has_set_threads() {
  return std::getenv("POCL_MAX_PTHREAD_COUNT") != nullptr ||
         std::getenv("POCL_CPU_MAX_CU_COUNT") != nullptr;
}

}  // namespace

Placement place(Communicator& comm, CoreNeed need) {
  Placement placement;
  placement.allowed = read_affinity();
  placement.available = read_available();
  placement.local_size = comm.local_size();
  placement.launched = is_under_mpi(read_environment);
  const auto ranks = gather_masks(comm, {placement.allowed, need});
  placement.cores = user_has_set_threads()
                        ? placement.allowed
                        : share_of(ranks, static_cast<std::size_t>(comm.local_rank()));
  if (placement.cores.size() < placement.allowed.size() && !bind_to(placement.cores)) {
    placement.warnings.push_back(fmt::format("cannot bind this rank to its cores {}: {}",
                                             format_processors(placement.cores),
                                             std::generic_category().message(errno)));
  }
  choose_threads(placement);
  choose_pocl_cache(placement);
  return placement;
}

std::size_t num_cpu_ranks() {
  std::set<int> nodes;
  for (const Processor& processor : read_affinity()) nodes.insert(processor.numa);
  return nodes.size();
}

}  // namespace motley
