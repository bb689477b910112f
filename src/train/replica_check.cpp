#include "train/replica_check.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "dist/agree.h"
#include "tensor/error.h"
#include "tensor/hash.h"

namespace motley {
namespace {

/// The hash that most ranks have for a bucket.
std::uint64_t common_hash(std::span<const std::uint64_t> hashes, std::size_t num_buckets,
                          std::size_t bucket) {
  std::map<std::uint64_t, std::size_t> counts;
  for (std::size_t i = bucket; i < hashes.size(); i += num_buckets) ++counts[hashes[i]];
  std::uint64_t common = hashes[bucket];
  for (std::size_t i = bucket; i < hashes.size(); i += num_buckets) {
    if (counts[hashes[i]] > counts[common]) common = hashes[i];
  }
  return common;
}

template <class T>
std::uint64_t hash_of(Stream& s, const Tensor& values) {
  const HostView<T> view = s.map<T>(values, Access::read);
  return hash64_of(std::as_bytes(view.span()));
}

std::string describe(const Divergence& divergence, const std::string& name) {
  return fmt::format("{} (bucket {})", name, fmt::join(divergence.buckets, ", "));
}

}  // namespace

std::vector<Divergence> find_divergence(std::span<const std::uint64_t> hashes,
                                        std::size_t num_buckets) {
  std::vector<Divergence> found;
  if (num_buckets == 0) return found;
  std::vector<std::uint64_t> common;
  for (std::size_t bucket = 0; bucket < num_buckets; ++bucket)
    common.push_back(common_hash(hashes, num_buckets, bucket));
  const std::size_t num_ranks = hashes.size() / num_buckets;
  for (std::size_t rank = 0; rank < num_ranks; ++rank) {
    Divergence divergence{.rank = static_cast<int>(rank), .buckets = {}};
    for (std::size_t bucket = 0; bucket < num_buckets; ++bucket) {
      if (hashes[rank * num_buckets + bucket] != common[bucket])
        divergence.buckets.push_back(bucket);
    }
    if (!divergence.buckets.empty()) found.push_back(std::move(divergence));
  }
  return found;
}

void check_replicas(Communicator& comm, Stream& s, const ParamStore& params, std::uint64_t step) {
  if (comm.size() == 1) return;
  std::vector<std::uint64_t> mine;
  for (const ParamBucket& bucket : params.buckets()) {
    mine.push_back(size_of(params.dtype()) == sizeof(float)
                       ? hash_of<float>(s, bucket.values)
                       : hash_of<std::uint16_t>(s, bucket.values));
  }
  std::vector<std::uint64_t> all(mine.size() * static_cast<std::size_t>(comm.size()));
  comm.all_gather(std::as_writable_bytes(std::span(all)), std::as_bytes(std::span(mine)));
  const std::vector<Divergence> found = find_divergence(all, mine.size());
  if (found.empty()) return;
  const std::vector<std::string> names = comm.all_gather_text(comm.name());
  agree(comm, "comparing the parameters", [&] {
    std::vector<std::string> who;
    who.reserve(found.size());
    for (const Divergence& divergence : found) {
      who.push_back(describe(divergence, names[static_cast<std::size_t>(divergence.rank)]));
    }
    fail<NumericError>(
        "numeric.replicas",
        "after step {} the parameters of {} differ from those of the other ranks; they must be "
        "equal bit for bit\n  fix: resume from the newest checkpoint; if it happens again, test "
        "the memory and the device of that host, or leave it out",
        step, fmt::join(who, " and "));
  });
}

}  // namespace motley
