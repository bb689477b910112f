#include "dist/job.h"

#include <mpi.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "dist/agree.h"
#include "dist/launcher.h"
#include "dist/mpi_comm.h"
#include "dist/self_comm.h"
#include "tensor/error.h"
#include "tensor/log.h"

namespace motley {
namespace {

int exit_code_of(const std::exception& error) {
  return static_cast<int>(failure_of(error).exit_code);
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "localhost";
  return name.data();
}

/// MPI_Init explores the machine with hwloc, whose OpenCL plug-in would load the drivers before
/// placement has told them how many threads they may start. Debian's mpirun leaves plug-ins out,
/// but only on the host it is called on.
void keep_hwloc_from_opencl() {
  ::setenv("HWLOC_COMPONENTS", "-opencl", 0);  // NOLINT(concurrency-mt-unsafe): no thread yet
}

void start_mpi() {
  int provided = MPI_THREAD_SINGLE;
  const int code = MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided);
  require<CommError>(code == MPI_SUCCESS, "comm.mpi", "MPI_Init_thread failed with {}", code);
  require<EnvironmentError>(
      provided >= MPI_THREAD_FUNNELED, "mpi.threads",
      "this MPI library does not allow threads (level {} of at least {}); install "
      "Open MPI from the distribution (apt install libopenmpi-dev)",
      provided, MPI_THREAD_FUNNELED);
}

/// One rank's own error, with the rank's name if that is known yet.
Error with_rank(const Communicator* comm, const Failure& failure) {
  if (comm == nullptr) return {failure.exit_code, failure.code, failure.message};
  return {failure.exit_code, failure.code, fmt::format("{}: {}", comm->name(), failure.message)};
}

int run_under_mpi(const std::function<int(Communicator&)>& body,
                  const std::function<void(const std::exception&)>& report) {
  int exit_code = 0;
  keep_hwloc_from_opencl();
  // A write to a peer that has just died must not kill this rank as well: mpirun would name it
  // instead.
  std::signal(SIGPIPE, SIG_IGN);
  CommThread thread;  // MPI lives and dies on it
  std::unique_ptr<MpiComm> comm;
  try {
    thread.post(start_mpi).get();
    comm = std::make_unique<MpiComm>(thread, MPI_COMM_WORLD);
    check_launched_size(read_environment, comm->size());
    log::set_rank(comm->rank(), comm->size());
    exit_code = body(*comm);
  } catch (const std::exception& error) {
    exit_code = exit_code_of(error);
    const bool everywhere = comm != nullptr && (comm->size() == 1 || is_agreed(error));
    if (!everywhere) {
      report(with_rank(comm.get(), current_failure()));
      abort_job(exit_code);
    }
    if (comm->rank() == 0) report(error);
  }
  // All ranks come here, so this cannot wait for one that is gone.
  thread.post([] { MPI_Finalize(); }).get();
  return exit_code;
}

}  // namespace

void abort_job(int exit_code) {
  log::flush();
  std::fflush(nullptr);
  int started = 0;
  int ended = 0;
  MPI_Initialized(&started);
  MPI_Finalized(&ended);
  if (started != 0 && ended == 0) MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::_Exit(exit_code);
}

int run_job(const std::function<int(Communicator&)>& body,
            const std::function<void(const std::exception&)>& report) {
  try {
    if (!is_under_mpi(read_environment)) {
      SelfComm comm(host_name());
      return body(comm);
    }
  } catch (const std::exception& error) {
    // Tasks that are started without MPI all come here, and all for the same reason.
    if (launched_rank(read_environment).value_or(0) == 0) report(error);
    return exit_code_of(error);
  }
  return run_under_mpi(body, report);
}

}  // namespace motley
