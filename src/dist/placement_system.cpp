// What placement needs from the operating system: affinity masks, processor topology, the
// environment and PoCL's cache directory.
#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <memory>
#include <system_error>

#include "dist/placement.h"
#include "tensor/error.h"
#include "tensor/io.h"

namespace motley {
namespace {

constexpr int max_processors = 8192;  // the kernel's own limit for one machine

/// An affinity mask as large as any kernel's.
class ProcessorSet {
 public:
  ProcessorSet() : set_(CPU_ALLOC(max_processors)) { CPU_ZERO_S(bytes(), get()); }
  static std::size_t bytes() { return CPU_ALLOC_SIZE(max_processors); }
  cpu_set_t* get() const { return set_.get(); }
  void add(int id) { CPU_SET_S(static_cast<std::size_t>(id), bytes(), get()); }
  bool contains(int id) const { return CPU_ISSET_S(static_cast<std::size_t>(id), bytes(), get()); }

 private:
  struct Free {
    void operator()(cpu_set_t* set) const { CPU_FREE(set); }
  };
  std::unique_ptr<cpu_set_t, Free> set_;
};

/// A number from the kernel's description of a processor, or `otherwise` where it gives none.
int read_topology(int processor, std::string_view name, int otherwise) {
  const io::Path path = fmt::format("/sys/devices/system/cpu/cpu{}/topology/{}", processor, name);
  if (!io::exists(path)) return otherwise;
  const std::string text = io::read_system_text(path);
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && value >= 0 ? value : otherwise;
}

std::vector<Processor> read_affinity() {
  const ProcessorSet set;
  require<EnvironmentError>(::sched_getaffinity(0, ProcessorSet::bytes(), set.get()) == 0,
                            "placement.affinity", "cannot read this process's affinity mask: {}",
                            std::generic_category().message(errno));
  std::vector<Processor> found;
  for (int id = 0; id < max_processors; ++id) {
    if (!set.contains(id)) continue;
    found.push_back({.id = id,
                     .package = read_topology(id, "physical_package_id", 0),
                     .core = read_topology(id, "core_id", id)});
  }
  return found;
}

bool bind_to(std::span<const Processor> processors) {
  ProcessorSet set;
  for (const Processor& processor : processors) set.add(processor.id);
  return ::sched_setaffinity(0, ProcessorSet::bytes(), set.get()) == 0;
}

/// The affinity masks of the ranks of this host, by local rank.
std::vector<std::vector<Processor>> gather_masks(Communicator& comm,
                                                 std::span<const Processor> allowed) {
  // Ranks of one host come in the order of their local ranks, because these follow the global
  // ranks.
  const std::string node = fmt::format("{}:", comm.node());
  const std::string mine = node + format_processors(allowed);
  std::vector<std::vector<Processor>> masks;
  for (const std::string& text : comm.all_gather_text(mine)) {
    if (!text.starts_with(node)) continue;
    // Only equality with this rank's own mask matters; others' processors are not this rank's to
    // use.
    masks.push_back(text == mine ? std::vector(allowed.begin(), allowed.end())
                                 : std::vector<Processor>{});
  }
  return masks;
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

/// mpirun binds each of one or two ranks to a single core by default.
void warn_of_launcher_binding(Placement& placement, const Communicator& comm) {
  const bool bound = std::getenv("OMPI_MCA_orte_bound_at_launch") != nullptr;
  const long online = ::sysconf(_SC_NPROCESSORS_ONLN);
  if (!bound || online / comm.local_size() <= static_cast<long>(placement.cores.size())) return;
  placement.warnings.push_back(fmt::format(
      "mpirun has bound this rank to {} of the host's {} cores\n  fix: mpirun --bind-to none",
      placement.cores.size(), online));
}

bool user_has_set_threads() {
  return std::getenv("POCL_MAX_PTHREAD_COUNT") != nullptr ||
         std::getenv("POCL_CPU_MAX_CU_COUNT") != nullptr;
}

}  // namespace

Placement place(Communicator& comm) {
  Placement placement;
  placement.allowed = read_affinity();
  const auto masks = gather_masks(comm, placement.allowed);
  placement.cores = user_has_set_threads()
                        ? placement.allowed
                        : share_of(masks, static_cast<std::size_t>(comm.local_rank()));
  if (placement.cores.size() < placement.allowed.size() && !bind_to(placement.cores)) {
    placement.warnings.push_back(fmt::format("cannot bind this rank to its cores {}: {}",
                                             format_processors(placement.cores),
                                             std::generic_category().message(errno)));
  }
  choose_threads(placement);
  choose_pocl_cache(placement);
  warn_of_launcher_binding(placement, comm);
  return placement;
}

}  // namespace motley
