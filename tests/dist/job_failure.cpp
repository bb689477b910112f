// A job that fails in the way its argument names; job_failure.cmake runs it under mpirun and looks
// at how it ends. Not a GoogleTest program: what is tested is the end of a process.
#include <fmt/core.h>

#include <cstdio>
#include <new>
#include <stdexcept>
#include <string>

#include "dist/agree.h"
#include "dist/job.h"
#include "tensor/error.h"

namespace motley {
namespace {

int fail_as(const std::string& mode, Communicator& comm) {
  comm.barrier();
  const bool last = comm.rank() == comm.size() - 1;
  if (mode == "agreed") {
    agree(comm, "opening the data", [&] {
      if (last) fail<DataError>("data.magic", "shard 7 has no header");
    });
  }
  if (mode == "alone" && last) fail<DataError>("data.magic", "shard 7 has no header");
  if (mode == "memory" && last) throw std::bad_alloc();
  if (mode == "foreign" && last) throw std::runtime_error("shard 7 has no header");
  comm.barrier();  // the other ranks wait here for one that will not come
  return mode == "code" ? 75 : 0;
}

void report(const std::exception& error) {
  std::fprintf(stderr, "error: %s\n", error.what());
}

}  // namespace
}  // namespace motley

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  return motley::run_job([&](motley::Communicator& comm) { return motley::fail_as(mode, comm); },
                         motley::report);
}
