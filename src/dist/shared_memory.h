// Host memory that all ranks of a host see, one segment a rank.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "dist/communicator.h"

namespace motley {

/// Segments of anonymous files, mapped by every rank that is to see them. Nothing has a name in the
/// file system: whatever way a process ends, nothing is left behind, and the size of /dev/shm,
/// which containers keep small, does not matter. That is why this is not MPI_Win_allocate_shared,
/// whose release, besides, is a collective and so has no place in a destructor.
class SharedMemory {
 public:
  /// Collective. Every rank gives the size of its own segment, which starts out as zeros at a
  /// multiple of the page size, and the ranks whose segments it is to see, itself among them.
  /// Throws CommError on the ranks that cannot map another's segment (ranks in different
  /// containers, say).
  SharedMemory(Communicator& comm, std::size_t bytes, std::span<const int> visible);

  /// The segment of visible[i]. Shares ownership of the mapping.
  std::span<std::byte> segment(std::size_t i) const;
  std::shared_ptr<const void> owner(std::size_t i) const { return mappings_.at(i); }

 private:
  class Mapping;
  std::vector<std::shared_ptr<const Mapping>> mappings_;
};

}  // namespace motley
