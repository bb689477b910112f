// The host's processors as Linux describes them, and which of them this process may use.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "dist/placement.h"
#include "tensor/io.h"

namespace motley {

/// The processors of this process's affinity mask. Throws EnvironmentError when it cannot be read.
std::vector<Processor> read_affinity();

/// The processors this process could be given: those of its cpuset, whatever its launcher has bound
/// it to. Widens the affinity mask for a moment to find out.
std::vector<Processor> read_available();

/// Binds this thread, and those it starts from now on, to `processors`. Whether that succeeded;
/// errno says why not.
bool bind_to(std::span<const Processor> processors);

/// Describes the processors with these ids by what is in `system`, a directory like
/// /sys/devices/system. What it does not say is taken as one package, one node and one core each.
std::vector<Processor> describe_processors(std::span<const int> ids, const io::Path& system);

}  // namespace motley
