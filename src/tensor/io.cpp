#include "tensor/io.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

#include "tensor/error.h"
#include "tensor/log.h"

namespace motley::io {
namespace {

[[noreturn]] void refuse(std::string_view operation, const Path& path, int reason) {
  fail<IoError>("io.failed", "cannot {} {}: {}", operation, path.string(),
                std::generic_category().message(reason));
}

int open_file(const Path& path, int flags, std::string_view operation) {
  int descriptor = -1;
  do {
    descriptor = ::open(path.c_str(), flags | O_CLOEXEC, 0644);
  } while (descriptor < 0 && errno == EINTR);
  if (descriptor < 0) refuse(operation, path, errno);
  return descriptor;
}

Path parent_of(const Path& path) {
  return path.has_parent_path() ? path.parent_path() : Path(".");
}

/// A name beside `path` that no other thread or process of this machine uses.
Path temporary_beside(const Path& path) {
  static std::atomic<unsigned> counter{0};
  return fmt::format("{}.tmp-{}-{}", path.string(), ::getpid(), counter++);
}

}  // namespace

File File::open(const Path& path) {
  File file(open_file(path, O_RDONLY, "open"), path);
  struct stat info {};
  if (::fstat(file.descriptor_, &info) != 0) refuse("examine", path, errno);
  if (!S_ISREG(info.st_mode))
    fail<IoError>("io.not-a-file", "{} is not a regular file", path.string());
  return file;
}

File File::create(const Path& path) {
  return {open_file(path, O_WRONLY | O_CREAT | O_EXCL, "create"), path};
}

File File::append(const Path& path) {
  return {open_file(path, O_WRONLY | O_CREAT | O_APPEND, "open for appending"), path};
}

File::File(File&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), path_(std::move(other.path_)) {}

File& File::operator=(File&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(path_, other.path_);
  return *this;
}

File::~File() {
  if (descriptor_ >= 0 && ::close(descriptor_) != 0) {
    log::error("closing {} failed: {}", path_.string(), std::generic_category().message(errno));
  }
}

std::uint64_t File::size() const {
  struct stat info {};
  if (::fstat(descriptor_, &info) != 0) refuse("examine", path_, errno);
  return static_cast<std::uint64_t>(info.st_size);
}

void File::read_at(std::uint64_t offset, std::span<std::byte> bytes) const {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = ::pread(descriptor_, bytes.data() + done, bytes.size() - done,
                                  static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) refuse("read", path_, errno);
    require<IoError>(count > 0, "io.truncated",
                     "{} ends at byte {}; {} bytes at {} were expected: it was cut short, put "
                     "the whole file back",
                     path_.string(), offset + done, bytes.size(), offset);
    done += static_cast<std::size_t>(count);
  }
}

void File::write(std::span<const std::byte> bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = ::write(descriptor_, bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) refuse("write to", path_, errno);
    done += static_cast<std::size_t>(count);
  }
}

void File::write(std::string_view text) {
  write(std::as_bytes(std::span(text.data(), text.size())));
}

void File::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = ::pwrite(descriptor_, bytes.data() + done, bytes.size() - done,
                                   static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) refuse("write to", path_, errno);
    done += static_cast<std::size_t>(count);
  }
}

void File::sync() {
  if (::fsync(descriptor_) != 0) refuse("force to disk", path_, errno);
}

void File::close() {
  if (::close(std::exchange(descriptor_, -1)) != 0) refuse("close", path_, errno);
}

std::string read_text(const Path& path, std::uint64_t max_bytes) {
  const File file = File::open(path);
  const std::uint64_t size = file.size();
  require<IoError>(size <= max_bytes, "io.too-large",
                   "{} has {} bytes; at most {} are accepted here", path.string(), size, max_bytes);
  std::string text(size, '\0');
  file.read_at(0, std::as_writable_bytes(std::span(text)));
  return text;
}

std::string read_system_text(const Path& path) {
  constexpr std::size_t max_bytes = std::size_t{64} << 10;
  const int descriptor = open_file(path, O_RDONLY, "open");
  std::string text(max_bytes, '\0');
  ssize_t count = 0;
  do {
    count = ::pread(descriptor, text.data(), text.size(), 0);
  } while (count < 0 && errno == EINTR);
  const int failure = count < 0 ? errno : 0;
  ::close(descriptor);  // read-only: nothing of ours can be lost here
  if (failure != 0) refuse("read", path, failure);
  text.resize(static_cast<std::size_t>(count));
  return text;
}

void write_atomically(const Path& path, const std::function<void(File& file)>& write) {
  const Path temporary = temporary_beside(path);
  io::remove_all(temporary);  // left by a process of the same number that was killed
  try {
    File file = File::create(temporary);
    write(file);
    file.sync();
    file.close();
    io::rename(temporary, path);
  } catch (...) {
    std::error_code ignored;  // the first failure is the one to report
    std::filesystem::remove(temporary, ignored);
    throw;
  }
}

void write_text_atomically(const Path& path, std::string_view text) {
  write_atomically(path, [text](File& file) { file.write(text); });
}

bool exists(const Path& path) {
  std::error_code error;
  const bool found = std::filesystem::exists(path, error);
  if (error) refuse("examine", path, error.value());
  return found;
}

bool is_directory(const Path& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  return std::filesystem::is_directory(status);
}

void create_directories(const Path& path) {
  std::vector<Path> missing;
  for (Path at = path; !at.empty() && !io::exists(at); at = at.parent_path()) missing.push_back(at);
  for (auto at = missing.rbegin(); at != missing.rend(); ++at) {
    if (::mkdir(at->c_str(), 0777) == 0) {
      sync_directory(parent_of(*at));
    } else {
      const int reason = errno;  // another process may have made it meanwhile
      if (reason != EEXIST) refuse("create directory", *at, reason);
    }
  }
  if (!io::is_directory(path)) refuse("create directory", path, ENOTDIR);
}

void create_private_directory(const Path& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) refuse("create directory", path, errno);
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) refuse("examine", path, errno);
  const bool ours = S_ISDIR(info.st_mode) && info.st_uid == ::geteuid();
  require<IoError>(ours && (info.st_mode & (S_IWGRP | S_IWOTH)) == 0, "io.not-private",
                   "{} is not a directory that only this user can write to; remove it",
                   path.string());
}

bool is_writable_directory(const Path& path) {
  return io::is_directory(path) && ::access(path.c_str(), W_OK | X_OK) == 0;
}

void rename(const Path& from, const Path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) refuse("rename to " + to.string(), from, errno);
  sync_directory(parent_of(to));
}

void exchange(const Path& a, const Path& b) {
  if (::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0)
    return sync_directory(parent_of(b));
  const bool never_can = errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP;
  if (!never_can) refuse("exchange names with " + b.string(), a, errno);
  const Path third = a.string() + ".swap";
  io::remove_all(third);
  io::rename(b, third);
  io::rename(a, b);
  io::rename(third, a);
}

void sync_directory(const Path& path) {
  const int descriptor = open_file(path, O_RDONLY | O_DIRECTORY, "open directory");
  const int failure = ::fsync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);  // read-only: nothing of ours can be lost here
  if (failure != 0) refuse("force to disk", path, failure);
}

void remove_all(const Path& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) refuse("remove", path, error.value());
}

void remove_if_empty(const Path& directory) {
  if (::rmdir(directory.c_str()) == 0) return;
  const bool stays = errno == ENOTEMPTY || errno == EEXIST || errno == ENOENT || errno == ENOTDIR;
  if (!stays) refuse("remove", directory, errno);
}

std::vector<std::string> list(const Path& directory) {
  std::error_code error;
  std::vector<std::string> names;
  std::filesystem::directory_iterator entries(directory, error);
  if (error) refuse("list", directory, error.value());
  while (entries != std::filesystem::directory_iterator()) {
    names.push_back(entries->path().filename().string());
    entries.increment(error);  // at the end, too, when it fails
    if (error) refuse("list", directory, error.value());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::uint64_t free_space(const Path& path) {
  struct statvfs info {};
  if (::statvfs(path.c_str(), &info) != 0) refuse("examine the file system of", path, errno);
  return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
}

}  // namespace motley::io
