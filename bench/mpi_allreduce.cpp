#include "bench/mpi_allreduce.h"

#include <mpi.h>

#include <array>
#include <cstdlib>

#include "dist/mpi_comm.h"
#include "tensor/checked.h"

namespace motley::bench {
namespace {

constexpr const char* algorithm_variable = "coll_tuned_allreduce_algorithm";

/// Communicators made from now on use this algorithm.
void choose_algorithm(int algorithm) {
  int index = 0;
  int num_values = 0;
  int provided = 0;
  MPI_T_cvar_handle variable{};
  bool ok = MPI_T_init_thread(MPI_THREAD_SINGLE, &provided) == MPI_SUCCESS &&
            MPI_T_cvar_get_index(algorithm_variable, &index) == MPI_SUCCESS &&
            MPI_T_cvar_handle_alloc(index, nullptr, &variable, &num_values) == MPI_SUCCESS;
  if (ok) {
    ok = MPI_T_cvar_write(variable, &algorithm) == MPI_SUCCESS;
    MPI_T_cvar_handle_free(&variable);
  }
  require<ConfigError>(ok, "bench.algorithm",
                       "this MPI library does not let {} be set to {}; "
                       "use Open MPI, or leave --algorithms at 0",
                       algorithm_variable, algorithm);
}

}  // namespace

struct MpiAllreduce::Handle {
  CommThread* thread = nullptr;
  MPI_Comm comm = MPI_COMM_NULL;
  std::string who;
};

void allow_choice_of_algorithm() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): there are no other threads yet
  ::setenv("OMPI_MCA_coll_tuned_use_dynamic_rules", "1", 0);
}

MpiAllreduce::MpiAllreduce(Communicator& comm, int algorithm) : handle_(new Handle) {
  auto* over_mpi = dynamic_cast<MpiComm*>(&comm);
  require<ConfigError>(over_mpi != nullptr, "bench.ranks",
                       "one process has nothing to exchange; start it with mpirun -np N");
  handle_->thread = &over_mpi->thread();
  handle_->who = comm.name();
  comm.run([&] {
    if (algorithm != 0) choose_algorithm(algorithm);
    check_mpi(MPI_Comm_dup(over_mpi->handle(), &handle_->comm), "MPI_Comm_dup", handle_->who);
    if (algorithm != 0) choose_algorithm(0);
  });
}

/// Collective in MPI's eyes, but a communicator of which nothing is pending can be freed by ranks
/// at different times.
MpiAllreduce::~MpiAllreduce() {
  handle_->thread->post([this] { MPI_Comm_free(&handle_->comm); }).wait();
}

void MpiAllreduce::sum(std::span<float> values) {
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, values.data(), narrow<int>(values.size()), MPI_FLOAT,
                          MPI_SUM, handle_->comm),
            "MPI_Allreduce", handle_->who);
}

std::string mpi_library() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  if (MPI_Get_library_version(text.data(), &length) != MPI_SUCCESS) return "unknown";
  const std::string all(text.data(), static_cast<std::size_t>(length));
  return all.substr(0, all.find(", package"));
}

}  // namespace motley::bench
