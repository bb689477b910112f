#include "dist/placement_topology.h"

#include <fmt/format.h>
#include <sched.h>

#include <cerrno>
#include <charconv>
#include <map>
#include <memory>
#include <system_error>

#include "tensor/error.h"

namespace motley {
namespace {

constexpr int max_processors = 8192;  // the kernel's own limit for one machine
constexpr const char* system_directory = "/sys/devices/system";

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

std::vector<int> read_mask() {
  const ProcessorSet set;
  require<EnvironmentError>(::sched_getaffinity(0, ProcessorSet::bytes(), set.get()) == 0,
                            "placement.affinity", "cannot read this process's affinity mask: {}",
                            std::generic_category().message(errno));
  std::vector<int> ids;
  for (int id = 0; id < max_processors; ++id) {
    if (set.contains(id)) ids.push_back(id);
  }
  return ids;
}

bool write_mask(std::span<const int> ids) {
  ProcessorSet set;
  for (const int id : ids) set.add(id);
  return ::sched_setaffinity(0, ProcessorSet::bytes(), set.get()) == 0;
}

/// A number from the kernel's description of a processor, or `otherwise` where it gives none.
int read_number(const io::Path& path, int otherwise) {
  if (!io::exists(path)) return otherwise;
  const std::string text = io::read_system_text(path);
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && value >= 0 ? value : otherwise;
}

/// The NUMA node of every processor that is listed with one.
std::map<int, int> read_nodes(const io::Path& system) {
  std::map<int, int> node_of;
  const io::Path directory = system / "node";
  if (!io::is_directory(directory)) return node_of;
  for (const std::string& name : io::list(directory)) {
    int node = 0;
    const char* const end = name.data() + name.size();
    if (!name.starts_with("node") || std::from_chars(name.data() + 4, end, node).ptr != end ||
        name.size() == 4) {
      continue;
    }
    const io::Path list = directory / name / "cpulist";
    if (!io::exists(list)) continue;
    for (const int id : parse_processor_list(io::read_system_text(list))) node_of[id] = node;
  }
  return node_of;
}

}  // namespace

std::vector<Processor> describe_processors(std::span<const int> ids, const io::Path& system) {
  const std::map<int, int> node_of = read_nodes(system);
  std::vector<Processor> found;
  for (const int id : ids) {
    const io::Path topology = system / "cpu" / fmt::format("cpu{}", id) / "topology";
    const auto node = node_of.find(id);
    found.push_back({.id = id,
                     .numa = node == node_of.end() ? 0 : node->second,
                     .package = read_number(topology / "physical_package_id", 0),
                     .core = read_number(topology / "core_id", id)});
  }
  return found;
}

std::vector<Processor> read_affinity() {
  return describe_processors(read_mask(), system_directory);
}

std::vector<Processor> read_available() {
  const std::vector<int> bound = read_mask();
  std::vector<int> all(max_processors);
  for (int id = 0; id < max_processors; ++id) all[static_cast<std::size_t>(id)] = id;
  // The kernel cuts a mask down to the process's cpuset and refuses only what leaves nothing.
  if (!write_mask(all)) return describe_processors(bound, system_directory);
  const std::vector<int> widest = read_mask();
  require<EnvironmentError>(write_mask(bound), "placement.affinity",
                            "cannot bind this process to its processors again: {}",
                            std::generic_category().message(errno));
  return describe_processors(widest, system_directory);
}

bool bind_to(std::span<const Processor> processors) {
  std::vector<int> ids;
  for (const Processor& processor : processors) ids.push_back(processor.id);
  return write_mask(ids);
}

}  // namespace motley
