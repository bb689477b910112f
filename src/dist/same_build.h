// Whether all ranks of a job are the same program: another build may speak another protocol or
// compute other bits.
#pragma once

#include <string>
#include <string_view>

#include "dist/communicator.h"

namespace motley {

/// What tells one build of the program from another: its version, the hash of its file, the byte
/// order and the sizes of its numbers; a line for each.
std::string describe_build(std::string_view version);

/// Collective, and the first of a job. Throws EnvironmentError on every rank unless all run the
/// same build: "rank.mismatch" with the first line that differs, or "rank.byte-order", after which
/// nothing but single bytes could be exchanged.
void same_build_on_all(Communicator& comm, std::string_view version);

}  // namespace motley
