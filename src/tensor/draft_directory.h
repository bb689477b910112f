// A directory that appears under its name complete or not at all.
#pragma once

#include <optional>
#include <string_view>

#include "tensor/file_lock.h"
#include "tensor/io.h"

namespace motley {

/// Files are written into a draft beside the target; commit() gives it the target's name. A draft
/// that is not committed is removed with its files; one that a killed process left is replaced by
/// the next of the same name. While it lives, a lock beside it keeps other processes from using the
/// same draft.
class DraftDirectory {
 public:
  /// Makes the empty directory `target` + `suffix`, and the target's parents. Throws IoError, also
  /// when somebody else is writing this draft.
  DraftDirectory(const io::Path& target, std::string_view suffix);
  DraftDirectory(const DraftDirectory&) = delete;
  DraftDirectory& operator=(const DraftDirectory&) = delete;
  ~DraftDirectory();

  /// Where to write the files.
  const io::Path& path() const { return draft_; }
  const io::Path& target() const { return target_; }
  /// Renames the draft to the target, which must not exist. Once. Throws IoError.
  void commit();
  /// The same, but a target that exists is replaced; see io::exchange for when it is missing.
  void replace();

 private:
  io::Path target_;
  io::Path draft_;
  bool is_committed_ = false;
  std::optional<io::FileLock> lock_;  // last: held until the draft has gone
};

}  // namespace motley
