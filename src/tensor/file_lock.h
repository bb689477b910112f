// A lock that one holder at a time has, among all processes of all hosts that see the file.
#pragma once

#include <optional>
#include <string>

#include "tensor/io.h"

namespace motley::io {

/// Held while it lives; the system takes it away from a process that ends in whatever way, so a
/// killed one leaves at most an empty claim: a file that nobody has locked. Two in one process
/// exclude each other as well.
class FileLock {
 public:
  /// Locks `path`, a file for this alone, which is made now and removed with the lock; none when
  /// somebody else holds it. On a file system without locks it warns and holds nothing. Throws
  /// IoError when the file cannot be made.
  static std::optional<FileLock> try_lock(const Path& path);

  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  ~FileLock();

 private:
  FileLock(int descriptor, Path path) : descriptor_(descriptor), path_(std::move(path)) {}

  int descriptor_ = -1;
  Path path_;
};

/// Who has locked `path`, for messages: "process 4711 on node1".
std::string lock_holder(const Path& path);

}  // namespace motley::io
