#include "dist/launcher.h"

#include <charconv>
#include <cstdlib>
#include <string_view>

#include "tensor/error.h"

namespace motley {
namespace {

constexpr const char* size_of_open_mpi = "OMPI_COMM_WORLD_SIZE";

constexpr const char* rank_of_open_mpi = "OMPI_COMM_WORLD_RANK";

/// A whole number of at least `least`.
std::optional<int> read_number(const Environment& environment, const char* name, int least) {
  const char* value = environment(name);
  if (value == nullptr) return std::nullopt;
  const std::string_view text = value;
  int count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  const bool is_count = error == std::errc{} && end == text.data() + text.size() && count >= least;
  return is_count ? std::optional(count) : std::nullopt;
}

}  // namespace

bool has_mpi_launcher(const Environment& environment) {
  for (const char* name : {size_of_open_mpi, "PMIX_RANK", "PMI_RANK", "PMI_SIZE"}) {
    if (environment(name) != nullptr) return true;
  }
  return false;
}

bool is_under_mpi(const Environment& environment) {
  if (has_mpi_launcher(environment)) return true;
  const char* tasks = environment("SLURM_STEP_NUM_TASKS");
  require<EnvironmentError>(
      tasks == nullptr || std::string_view(tasks) == "1", "mpi.launcher",
      "SLURM has started {} tasks without MPI, so each would train alone; start them with "
      "mpirun inside the allocation, or with srun --mpi=pmix",
      tasks == nullptr ? "" : tasks);
  return false;
}

std::optional<int> launched_size(const Environment& environment) {
  for (const char* name : {size_of_open_mpi, "PMI_SIZE", "SLURM_STEP_NUM_TASKS"}) {
    if (const auto count = read_number(environment, name, 1)) return count;
  }
  return std::nullopt;
}

std::optional<int> launched_rank(const Environment& environment) {
  for (const char* name : {rank_of_open_mpi, "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"}) {
    if (const auto rank = read_number(environment, name, 0)) return rank;
  }
  return std::nullopt;
}

std::string launcher_name(const Environment& environment) {
  const bool in_slurm = environment("SLURM_JOB_ID") != nullptr;
  if (environment(size_of_open_mpi) != nullptr) {
    return in_slurm ? "mpirun (Open MPI) inside Slurm" : "mpirun (Open MPI)";
  }
  if (environment("PMIX_RANK") != nullptr) return in_slurm ? "srun --mpi=pmix" : "PMIx";
  if (environment("PMI_RANK") != nullptr) return "PMI (MPICH's mpirun, or srun --mpi=pmi2)";
  return "none";
}

void check_launched_size(const Environment& environment, int size) {
  const std::optional<int> started = launched_size(environment);
  require<EnvironmentError>(
      !started || *started == size, "mpi.size",
      "{} started {} ranks but MPI connects {}, so they would train apart from each other\n"
      "  fix: use the mpirun of the Open MPI that this program is linked with (apt install "
      "openmpi-bin), or srun --mpi=pmix",
      launcher_name(environment), started.value_or(0), size);
}

const char* read_environment(const char* name) {
  return std::getenv(name);
}

}  // namespace motley
