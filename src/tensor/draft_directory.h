// A directory that appears under its name complete or not at all.
#pragma once

#include <string_view>

#include "tensor/io.h"

namespace motley {

/// Files are written into a draft beside the target; commit() gives it the target's name. A draft
/// that is not committed is removed with its files; one that a killed process left is replaced by
/// the next of the same name.
class DraftDirectory {
 public:
  /// Makes the empty directory `target` + `suffix`, and the target's parents. Throws IoError.
  DraftDirectory(const io::Path& target, std::string_view suffix);
  DraftDirectory(const DraftDirectory&) = delete;
  DraftDirectory& operator=(const DraftDirectory&) = delete;
  ~DraftDirectory();

  /// Where to write the files.
  const io::Path& path() const { return draft_; }
  const io::Path& target() const { return target_; }
  /// Renames the draft to the target, which must not exist. Once. Throws IoError.
  void commit();

 private:
  io::Path target_;
  io::Path draft_;
  bool is_committed_ = false;
};

}  // namespace motley
