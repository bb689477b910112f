// A command that runs while a test looks on and interferes.
#pragma once

#include <functional>
#include <string>

#include "tensor/io.h"

namespace motley::test {

/// Started by the constructor through the shell; its output goes to a file. The destructor ends it.
class BackgroundJob {
 public:
  BackgroundJob(const std::string& command, const io::Path& output);
  BackgroundJob(const BackgroundJob&) = delete;
  BackgroundJob& operator=(const BackgroundJob&) = delete;
  ~BackgroundJob();

  /// Whether the output comes to hold `text` before the job ends. There is no other limit: a test
  /// of this kind has one from CTest.
  bool prints(const std::string& text);
  /// Waits for the end; the exit code, or 128 and the signal's number.
  int wait();
  std::string output() const { return io::read_text(output_); }

 private:
  bool has_ended();

  io::Path output_;
  int pid_ = -1;
  int status_ = 0;
  bool ended_ = false;
};

/// The process that runs MOTLEY_PROGRAM as this rank of a job of Open MPI, on any host of the test
/// bed; -1 if there is none.
int process_of_rank(int rank);

}  // namespace motley::test
