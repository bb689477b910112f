#include "tests/train/faulty_disk.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace motley::test {
namespace {

bool is_below(const std::string& path, const std::string& directory) {
  return path == directory || path.starts_with(directory + "/");
}

ino_t inode_of_parent(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  struct stat info {};
  ::stat(slash == std::string::npos ? "." : path.substr(0, slash).c_str(), &info);
  return info.st_ino;
}

int real_rename(const char* from, const char* to, unsigned flags) {
  return static_cast<int>(::syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags));
}

int real_unlink(int directory, const char* path, int flags) {
  return static_cast<int>(::syscall(SYS_unlinkat, directory, path, flags));
}

ssize_t real_write(int file, const void* bytes, std::size_t size, off_t offset) {
  return offset < 0 ? ::syscall(SYS_write, file, bytes, size)
                    : ::syscall(SYS_pwrite64, file, bytes, size, offset);
}

/// Removes a file, or a directory with all in it.
void remove_tree(const std::string& path) {
  if (real_unlink(AT_FDCWD, path.c_str(), 0) == 0 ||
      real_unlink(AT_FDCWD, path.c_str(), AT_REMOVEDIR) == 0 || errno != ENOTEMPTY)
    return;
  for (const auto& entry : std::filesystem::directory_iterator(path)) remove_tree(entry.path());
  real_unlink(AT_FDCWD, path.c_str(), AT_REMOVEDIR);
}

/// A change of names that its directory was not yet forced to disk with.
struct Change {
  enum Kind { created, renamed, exchanged } kind;
  std::string path;  // what was created, or what it is called now
  std::string from;
  ino_t directory;
};

enum class Takes { space, nothing };

class Disk {
 public:
  void break_at(DiskFault fault, std::size_t at) {
    *this = {};
    fault_ = fault;
    at_ = at;
    on_ = true;
  }
  std::size_t mend() {
    on_ = false;
    for (const auto& [inode, file] : dirty_) ::close(file.copy);
    return count_;
  }
  bool is_on() const { return on_; }
  void promise() { exit_code_ = exit_of_killed_later; }

  /// Counts an operation. False when it is refused, with errno; ends the process when that is the
  /// fault, after `half` of the operation.
  template <class Half>
  bool begin(Takes takes, const Half& half) {
    if (!on_) return true;
    ++count_;
    if (count_ < at_) return true;
    const bool first = count_ == at_;
    switch (fault_) {
      case DiskFault::full:
        errno = ENOSPC;
        return takes == Takes::nothing;
      case DiskFault::unreachable:
      case DiskFault::hiccup:
        errno = EIO;
        return fault_ == DiskFault::hiccup && !first;
      default:
        half();
        if (fault_ == DiskFault::power_lost || fault_ == DiskFault::data_lost) lose_data();
        if (fault_ == DiskFault::power_lost || fault_ == DiskFault::names_lost) lose_names();
        ::_exit(exit_code_);
    }
  }
  bool begin(Takes takes) {
    return begin(takes, [] {});
  }

  void note(Change::Kind kind, const std::string& path, const std::string& from) {
    if (on_) changes_.push_back({kind, path, from, inode_of_parent(path)});
  }

  /// Before a write.
  void note_write(int file) {
    struct stat info {};
    ::fstat(file, &info);
    if (on_ && dirty_.find(info.st_ino) == dirty_.end())
      dirty_[info.st_ino] = {::dup(file), info.st_size};
  }

  void note_sync(int file) {
    struct stat info {};
    ::fstat(file, &info);
    if (!S_ISDIR(info.st_mode)) {
      const auto at = dirty_.find(info.st_ino);
      if (at == dirty_.end()) return;
      ::close(at->second.copy);
      dirty_.erase(at);
      return;
    }
    for (std::size_t i = 0; i < changes_.size();) {
      if (changes_[i].directory != info.st_ino) {
        ++i;
        continue;
      }
      follow(changes_[i], i);
      changes_.erase(changes_.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }

 private:
  struct Dirty {
    int copy;         // of the descriptor
    off_t kept_size;  // as it was forced to disk last
  };

  /// A rename will not be undone: the changes before it, which will, are of other names now.
  void follow(const Change& kept, std::size_t before) {
    if (kept.kind == Change::created) return;
    for (std::size_t i = 0; i < before; ++i) {
      for (std::string* name : {&changes_[i].path, &changes_[i].from}) {
        if (is_below(*name, kept.from)) {
          *name = kept.path + name->substr(kept.from.size());
        } else if (kept.kind == Change::exchanged && is_below(*name, kept.path)) {
          *name = kept.from + name->substr(kept.path.size());
        }
      }
    }
  }

  void lose_data() {
    for (const auto& [inode, file] : dirty_) {
      if (::ftruncate(file.copy, file.kept_size) != 0) ::_exit(1);
    }
  }

  void lose_names() {
    std::reverse(changes_.begin(), changes_.end());
    for (const Change& change : changes_) {
      const unsigned flags = change.kind == Change::exchanged ? RENAME_EXCHANGE : 0;
      if (change.kind == Change::created) {
        remove_tree(change.path);
      } else {  // what was removed since is not there
        real_rename(change.path.c_str(), change.from.c_str(), flags);
      }
    }
  }

  bool on_ = false;
  int exit_code_ = exit_of_killed;
  DiskFault fault_ = DiskFault::killed;
  std::size_t at_ = 0;
  std::size_t count_ = 0;
  std::vector<Change> changes_;
  std::map<ino_t, Dirty> dirty_;
};

bool can_exchange = true;

Disk& disk() {
  static Disk disk;
  return disk;
}

int open_or_create(const char* path, int flags, mode_t mode) {
  const bool creates = (flags & O_CREAT) != 0 && ::access(path, F_OK) != 0;
  if (creates && !disk().begin(Takes::space)) return -1;
  const auto file = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags, mode));
  if (creates && file >= 0) disk().note(Change::created, path, "");
  return file;
}

int change_name(const char* from, const char* to, unsigned flags) {
  if ((flags & RENAME_EXCHANGE) != 0 && !can_exchange) {
    errno = EINVAL;
    return -1;
  }
  if (!disk().begin(Takes::nothing)) return -1;
  const int result = real_rename(from, to, flags);
  if (result == 0)
    disk().note((flags & RENAME_EXCHANGE) != 0 ? Change::exchanged : Change::renamed, to, from);
  return result;
}

ssize_t write_some(int file, const void* bytes, std::size_t size, off_t offset) {
  if (disk().is_on()) disk().note_write(file);
  const bool begun =
      disk().begin(Takes::space, [&] { (void)real_write(file, bytes, size / 2, offset); });
  return begun ? real_write(file, bytes, size, offset) : -1;
}

int remove_name(int directory, const char* path, int flags) {
  return disk().begin(Takes::nothing) ? real_unlink(directory, path, flags) : -1;
}

}  // namespace

void break_disk(DiskFault fault, std::size_t at) {
  disk().break_at(fault, at);
}

void promise() {
  disk().promise();
}

void refuse_exchange() {
  can_exchange = false;
}

std::size_t mend_disk() {
  return disk().mend();
}

}  // namespace motley::test

// The C library's.
extern "C" {

using namespace motley::test;

int open(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  return open_or_create(path, flags, mode);
}

ssize_t write(int file, const void* bytes, size_t size) {
  return write_some(file, bytes, size, -1);
}

ssize_t pwrite(int file, const void* bytes, size_t size, off_t offset) {
  return write_some(file, bytes, size, offset);
}

int fsync(int file) {
  if (!disk().begin(Takes::space)) return -1;
  // Nothing here has to outlive the machine, so that no real disk is waited for, thousands of
  // times.
  if (disk().is_on()) disk().note_sync(file);
  return 0;
}

int mkdir(const char* path, mode_t mode) noexcept {
  if (!disk().begin(Takes::space)) return -1;
  const auto result = static_cast<int>(::syscall(SYS_mkdirat, AT_FDCWD, path, mode));
  if (result == 0) disk().note(Change::created, path, "");
  return result;
}

int rename(const char* from, const char* to) noexcept {
  return change_name(from, to, 0);
}

int renameat2(int, const char* from, int, const char* to, unsigned flags) noexcept {
  return change_name(from, to, flags);
}

int unlink(const char* path) noexcept {
  return remove_name(AT_FDCWD, path, 0);
}

int unlinkat(int directory, const char* path, int flags) noexcept {
  return remove_name(directory, path, flags);
}

int rmdir(const char* path) noexcept {
  return remove_name(AT_FDCWD, path, AT_REMOVEDIR);
}

int remove(const char* path) noexcept {
  const int result = remove_name(AT_FDCWD, path, 0);
  return result != 0 && errno == EISDIR ? real_unlink(AT_FDCWD, path, AT_REMOVEDIR) : result;
}
}
