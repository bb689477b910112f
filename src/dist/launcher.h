// What a launcher (mpirun, srun) tells its processes through the environment.
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace motley {

/// Reads one environment variable; null when it is not set.
using Environment = std::function<const char*(const char* name)>;

/// The environment of this process.
const char* read_environment(const char* name);

/// Whether the environment has the variables of an MPI launcher.
bool has_mpi_launcher(const Environment& environment);

/// Whether an MPI launcher has started this process. Throws EnvironmentError when a batch system
/// has started several tasks without MPI, for each would believe itself alone.
bool is_under_mpi(const Environment& environment);

/// How many ranks the launcher says it has started; no value when it does not say. Open MPI's own
/// word comes first: inside a batch job the batch system's variables count its steps, not ranks.
std::optional<int> launched_size(const Environment& environment);

/// Which of the launched processes this is, from 0; no value when the launcher does not say. Before
/// MPI is started: for who speaks when all have the same to say.
std::optional<int> launched_rank(const Environment& environment);

/// Who started this process: "mpirun (Open MPI)", "srun", "none", ...
std::string launcher_name(const Environment& environment);

/// Throws EnvironmentError when MPI connects another number of ranks than were started, such as one
/// rank in each of N processes, which would train N times alone.
void check_launched_size(const Environment& environment, int size);

}  // namespace motley
