#include "tensor/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <system_error>
#include <utility>

#include "tensor/error.h"
#include "tensor/log.h"

namespace motley::io {
namespace {

int open_lock(const Path& path) {
  int descriptor = -1;
  do {
    descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  } while (descriptor < 0 && errno == EINTR);
  require<IoError>(descriptor >= 0, "io.failed", "cannot create the lock {}: {}", path.string(),
                   std::generic_category().message(errno));
  return descriptor;
}

/// 0, or the reason why the file is not locked.
int lock(int descriptor) {
  while (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

/// Whether `path` still names the open file: the holder before us may have removed it after we
/// opened it, and then others lock another file.
bool is_at(int descriptor, const Path& path) {
  struct stat opened {};
  struct stat named {};
  return ::fstat(descriptor, &opened) == 0 && ::stat(path.c_str(), &named) == 0 &&
         opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

void write_holder(int descriptor) {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host = {"localhost"};
  const std::string text = fmt::format("process {} on {}\n", ::getpid(), host.data());
  // Only for people: a full disk must not keep a run from going on.
  [[maybe_unused]] const bool done =
      ::ftruncate(descriptor, 0) == 0 && ::pwrite(descriptor, text.data(), text.size(), 0) > 0;
}

void warn_once(const Path& path, int reason) {
  static std::atomic_flag warned;
  if (warned.test_and_set()) return;
  log::warn(
      "{} cannot be locked ({})\nnothing keeps two jobs from writing there at once: see that they "
      "do not",
      path.string(), std::generic_category().message(reason));
}

}  // namespace

std::optional<FileLock> FileLock::try_lock(const Path& path) {
  for (;;) {
    FileLock held(open_lock(path), path);
    const int failure = lock(held.descriptor_);
    if (failure == EWOULDBLOCK) {
      ::close(std::exchange(held.descriptor_, -1));  // the file is its holder's to remove
      return std::nullopt;
    }
    if (failure != 0) {
      warn_once(path, failure);
      return held;
    }
    if (is_at(held.descriptor_, path)) {
      write_holder(held.descriptor_);
      return held;
    }
    ::close(std::exchange(held.descriptor_, -1));
  }
}

FileLock::FileLock(FileLock&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), path_(std::move(other.path_)) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(path_, other.path_);
  return *this;
}

FileLock::~FileLock() {
  if (descriptor_ < 0) return;
  ::unlink(path_.c_str());  // first, while nobody else can hold it
  ::close(descriptor_);
}

std::string lock_holder(const Path& path) {
  try {
    const std::string text = read_text(path, 1024);
    std::string line = text.substr(0, text.find('\n'));
    if (!line.empty()) return line;
  } catch (const IoError&) {  // it has just gone
  }
  return "another process";
}

}  // namespace motley::io
