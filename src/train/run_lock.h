// One job at a time in a run directory.
#pragma once

#include <optional>
#include <vector>

#include "tensor/file_lock.h"
#include "tensor/io.h"

namespace motley {

/// Keeps other jobs out of a run's directory while it lives, by a lock on its file `lock`.
class RunLock {
 public:
  /// Makes the directory if need be. Throws ConfigError when another job holds it, and IoError.
  explicit RunLock(const io::Path& run);
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;
  /// Takes away again the directories that it made, if nothing was put there.
  ~RunLock();

 private:
  std::vector<io::Path> made_;  // the deepest first
  std::optional<io::FileLock> lock_;
};

}  // namespace motley
