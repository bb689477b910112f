#include "tests/cluster/background_job.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "tensor/error.h"

namespace motley::test {
namespace {

constexpr std::chrono::milliseconds poll_interval(20);

/// What a file of /proc holds; nothing when its process is gone or another's.
std::string read_process_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

BackgroundJob::BackgroundJob(const std::string& command, const io::Path& output) : output_(output) {
  const int file = ::open(output.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
  require<IoError>(file >= 0, "io.failed", "cannot write {}", output.string());
  pid_ = ::fork();
  if (pid_ == 0) {
    ::dup2(file, STDOUT_FILENO);
    ::dup2(file, STDERR_FILENO);
    // exec, so that the process is the command's and not a shell's.
    ::execl("/bin/sh", "sh", "-c", ("exec " + command).c_str(), static_cast<char*>(nullptr));
    ::_exit(127);
  }
  ::close(file);
  require<EnvironmentError>(pid_ > 0, "test.fork", "no process for '{}'", command);
}

BackgroundJob::~BackgroundJob() {
  if (has_ended()) return;
  ::kill(pid_, SIGKILL);
  wait();
}

bool BackgroundJob::has_ended() {
  if (!ended_) ended_ = ::waitpid(pid_, &status_, WNOHANG) == pid_;
  return ended_;
}

bool BackgroundJob::prints(const std::string& text) {
  for (;;) {
    const bool was_last_look = has_ended();
    if (output().find(text) != std::string::npos) return true;
    if (was_last_look) return false;
    std::this_thread::sleep_for(poll_interval);
  }
}

int BackgroundJob::wait() {
  if (!ended_) ended_ = ::waitpid(pid_, &status_, 0) == pid_;
  return WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
}

int process_of_rank(int rank) {
  const std::string wanted = "OMPI_COMM_WORLD_RANK=" + std::to_string(rank);
  const std::filesystem::path program = std::filesystem::canonical(MOTLEY_PROGRAM);
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    int pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error != std::errc{} || end != name.data() + name.size()) continue;
    std::error_code gone;
    if (std::filesystem::read_symlink(entry.path() / "exe", gone) != program) continue;
    // Variables are separated by zero bytes, and none but the first follows nothing.
    const std::string environment = '\0' + read_process_file(entry.path() / "environ");
    if (environment.find('\0' + wanted + '\0') != std::string::npos) return pid;
  }
  return -1;
}

}  // namespace motley::test
