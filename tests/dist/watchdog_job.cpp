// A job of which one rank stands still in the way the arguments say: MODE RANK LOG-DIRECTORY.
// watchdog_job.cmake runs it under mpirun and looks at how it ends. Not a GoogleTest program: what
// is tested is the end of processes.
#include <fmt/core.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "dist/job.h"
#include "dist/watchdog.h"

namespace motley {
namespace {

[[noreturn]] void stand_still() {
  for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
}

void run_step(Communicator& comm, std::uint64_t step, const std::string& fault) {
  comm.recorder().enter(Phase::compute, step);
  if (fault == "stop") std::raise(SIGSTOP);
  if (fault == "hang") stand_still();
  if (fault == "deaf") (void)comm.post([] { stand_still(); });
  comm.recorder().enter(Phase::reduce, step);
  comm.recorder().begin("exchange", 3);
  comm.barrier();
  comm.recorder().end();
  comm.recorder().enter(Phase::update, step);
}

int run(Communicator& comm, const std::string& mode, int rank, const io::Path& logs) {
  const Watchdog watchdog(
      comm, {.log_directory = logs, .device = "no device", .step_timeout = 4, .grace = 3});
  for (std::uint64_t step = 1; step <= 20; ++step) {
    run_step(comm, step, comm.rank() == rank && step == 7 ? mode : "");
  }
  comm.recorder().enter(Phase::finish, 20);
  return 0;
}

void report(const std::exception& error) {
  std::fprintf(stderr, "error: %s\n", error.what());
}

}  // namespace
}  // namespace motley

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  return motley::run_job(
      [&](motley::Communicator& comm) {
        return motley::run(comm, argv[1], std::atoi(argv[2]), argv[3]);
      },
      motley::report);
}
