// The frame around everything that runs on several ranks: finds out whether this process is one of
// many, starts and ends MPI, and makes sure that an error on one rank ends all.
#pragma once

#include <functional>
#include <string>

#include "dist/communicator.h"

namespace motley {

/// Runs `body` with the communicator of this job and returns its exit code. Under mpirun (or
/// another MPI launcher) that is MpiComm, else SelfComm, and then MPI is not even initialised. An
/// error of this call's own: EnvironmentError when the launcher has started another number of ranks
/// than MPI connects.
///
/// When `body` throws, `report` is given the error and the error's exit code is returned (as
/// failure_of says). With several ranks: an error that all agreed on (see agree.h) is reported
/// by rank 0 alone and every rank returns; an error of one rank's own is reported by that rank,
/// with its name, and the whole job is aborted with its exit code within seconds: this call does
/// not return then, on any rank.
int run_job(const std::function<int(Communicator&)>& body,
            const std::function<void(const std::exception&)>& report);

/// Ends this process and, under MPI, all ranks of the job at once. May be called from any thread.
[[noreturn]] void abort_job(int exit_code);

}  // namespace motley
