// The decisions, without the operating system: placement_system.cpp asks it and applies them.
#include "dist/placement.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <tuple>
#include <utility>

#include "dist/shard_plan.h"

namespace motley {
namespace {

using Processors = std::vector<Processor>;

bool by_core(const Processor& a, const Processor& b) {
  return std::tie(a.numa, a.package, a.core, a.id) < std::tie(b.numa, b.package, b.core, b.id);
}

/// Sorted processors in runs of those that belong together.
template <class Same>
std::vector<Processors> group(const Processors& sorted, Same same) {
  std::vector<Processors> groups;
  for (const Processor& processor : sorted) {
    if (groups.empty() || !same(groups.back().back(), processor)) groups.emplace_back();
    groups.back().push_back(processor);
  }
  return groups;
}

std::vector<Processors> group_by_core(const Processors& sorted) {
  return group(sorted, [](const Processor& a, const Processor& b) {
    return std::tie(a.numa, a.package, a.core) == std::tie(b.numa, b.package, b.core);
  });
}

std::vector<Processors> group_by_node(const Processors& sorted) {
  return group(sorted, [](const Processor& a, const Processor& b) { return a.numa == b.numa; });
}

Processors join(std::span<const Processors> groups) {
  Processors joined;
  for (const Processors& one : groups) joined.insert(joined.end(), one.begin(), one.end());
  return joined;
}

std::size_t num_cores(Processors processors) {
  std::sort(processors.begin(), processors.end(), by_core);
  return group_by_core(processors).size();
}

/// Part `position` of `parts` equal ones: whole cores where there are enough.
Processors part_of_node(const Processors& sorted, std::size_t parts, std::size_t position) {
  std::vector<Processors> units = group_by_core(sorted);
  if (units.size() < parts) {
    units.clear();
    for (const Processor& processor : sorted) units.push_back({processor});
  }
  if (units.size() < parts) return units[position % units.size()];
  const Range range = split_evenly(units.size(), parts)[position];
  return join(std::span(units).subspan(range.begin, range.size()));
}

/// How many of `num_ranks` go to each node: the next always where a rank then has most cores.
std::vector<std::size_t> ranks_per_node(std::span<const Processors> nodes, std::size_t num_ranks) {
  std::vector<std::size_t> counts(nodes.size(), 0);
  for (std::size_t rank = 0; rank < num_ranks; ++rank) {
    std::size_t best = 0;
    for (std::size_t node = 1; node < nodes.size(); ++node) {
      const std::size_t here = nodes[node].size() * (counts[best] + 1);
      if (here > nodes[best].size() * (counts[node] + 1)) best = node;
    }
    ++counts[best];
  }
  return counts;
}

/// The share of rank `position` of `num_ranks` that all compute on these processors.
Processors share_nodes(const Processors& sorted, std::size_t num_ranks, std::size_t position) {
  const std::vector<Processors> nodes = group_by_node(sorted);
  if (num_ranks < nodes.size()) {
    const Range range = split_evenly(nodes.size(), num_ranks)[position];
    return join(std::span(nodes).subspan(range.begin, range.size()));
  }
  const std::vector<std::size_t> counts = ranks_per_node(nodes, num_ranks);
  std::size_t node = 0;
  while (position >= counts[node]) position -= counts[node++];
  return part_of_node(nodes[node], counts[node], position);
}

}  // namespace

std::vector<Processor> share_of(std::span<const RankCores> ranks, std::size_t local_rank) {
  Processors mine = ranks[local_rank].mask;
  std::sort(mine.begin(), mine.end(), by_core);
  std::vector<std::size_t> all;
  std::vector<std::size_t> drivers;
  std::vector<std::size_t> others;
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    if (ranks[r].mask != ranks[local_rank].mask) continue;
    all.push_back(r);
    (ranks[r].need == CoreNeed::host ? drivers : others).push_back(r);
  }
  const auto position_in = [&](const std::vector<std::size_t>& list) {
    return static_cast<std::size_t>(std::find(list.begin(), list.end(), local_rank) - list.begin());
  };
  if (all.size() == 1 || mine.empty()) return mine;
  std::vector<Processors> cores = group_by_core(mine);
  // Where all want the same, or there are too few cores to set some apart, all are equal.
  if (others.empty() || drivers.empty() || cores.size() < all.size()) {
    return share_nodes(mine, all.size(), position_in(all));
  }
  const std::size_t kept = cores.size() - drivers.size();
  if (position_in(drivers) < drivers.size()) return cores[kept + position_in(drivers)];
  cores.resize(kept);
  return share_nodes(join(cores), others.size(), position_in(others));
}

std::string explain_one_core(const DeviceInfo& device, const Placement& placement) {
  if (device.kind != DeviceKind::cpu || !placement.launched) return "";
  if (placement.threads_origin.starts_with("POCL_")) return "";  // the user's own choice
  const std::size_t per_rank =
      num_cores(placement.available) / static_cast<std::size_t>(placement.local_size);
  if (num_cores(placement.allowed) != 1 || per_rank < 2) return "";
  return fmt::format(
      "the launcher has bound this rank to one core (processors {}), and {} would compute on that "
      "alone; this host has {} cores for {} rank(s)\n"
      "  fix: mpirun --bind-to none (srun --cpu-bind=none); if one core is meant, give "
      "train or eval --one-core",
      format_processors(placement.allowed), device.name, num_cores(placement.available),
      placement.local_size);
}

std::string explain_slow_placement(const DeviceInfo& device, const Placement& placement) {
  if (device.kind != DeviceKind::cpu) return "";
  if (device.compute_units > placement.cores.size()) {
    return fmt::format(
        "{} uses {} threads but this rank has {} processor(s) ({}), so threads wait for each "
        "other\n  fix: mpirun --bind-to none, or set POCL_MAX_PTHREAD_COUNT={}",
        device.name, device.compute_units, placement.cores.size(),
        format_processors(placement.cores), placement.cores.size());
  }
  const std::size_t fair =
      num_cores(placement.available) / static_cast<std::size_t>(placement.local_size);
  if (placement.launched && num_cores(placement.allowed) < fair) {
    return fmt::format(
        "the launcher has bound this rank to {} of the host's {} cores\n"
        "  fix: mpirun --bind-to none (srun --cpu-bind=none)",
        num_cores(placement.allowed), num_cores(placement.available));
  }
  std::set<int> nodes;
  for (const Processor& processor : placement.cores) nodes.insert(processor.numa);
  if (nodes.size() < 2) return "";
  return fmt::format(
      "{} computes on {} NUMA nodes and reads much of its memory from afar\n  fix: start one rank "
      "for each node, as launch/local.sh does",
      device.name, nodes.size());
}

std::string format_processors(std::span<const Processor> processors) {
  std::vector<int> ids;
  for (const Processor& processor : processors) ids.push_back(processor.id);
  return format_processor_list(std::move(ids));
}

std::string format_processor_list(std::vector<int> ids) {
  std::sort(ids.begin(), ids.end());
  std::string text;
  for (std::size_t i = 0; i < ids.size();) {
    std::size_t last = i;
    while (last + 1 < ids.size() && ids[last + 1] == ids[last] + 1) ++last;
    text += text.empty() ? "" : ",";
    text += last == i ? fmt::format("{}", ids[i]) : fmt::format("{}-{}", ids[i], ids[last]);
    i = last + 1;
  }
  return text;
}

std::vector<int> parse_processor_list(std::string_view text) {
  constexpr int most = 1 << 16;  // ids beyond this are no processor list of any kernel
  std::vector<int> ids;
  const char* at = text.data();
  const char* const end = text.data() + text.size();
  const auto read = [&](int& id) {
    const auto [next, error] = std::from_chars(at, end, id);
    at = next;
    return error == std::errc{} && id >= 0 && id < most;
  };
  while (at < end) {
    int first = 0;
    if (!read(first)) break;
    int last = first;
    if (at < end && *at == '-' && !(++at, read(last))) break;
    for (int id = first; id <= last; ++id) ids.push_back(id);
    if (at == end || *at != ',') break;
    ++at;
  }
  return ids;
}

std::string Placement::summary() const {
  return fmt::format("cores {} of {}, {} threads", format_processors(cores), allowed.size(),
                     num_threads);
}

}  // namespace motley
