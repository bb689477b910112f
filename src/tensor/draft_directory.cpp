#include "tensor/draft_directory.h"

#include <exception>

#include "tensor/error.h"
#include "tensor/log.h"

namespace motley {
namespace {

/// "runs/a/" names the directory "runs/a", whose draft is to stand beside it, not in it.
io::Path without_trailing_slash(const io::Path& path) {
  const io::Path normal = path.lexically_normal();
  return normal.has_filename() ? normal : normal.parent_path();
}

}  // namespace

DraftDirectory::DraftDirectory(const io::Path& target, std::string_view suffix)
    : target_(without_trailing_slash(target)),
      draft_(fmt::format("{}{}", target_.string(), suffix)) {
  if (target_.has_parent_path()) io::create_directories(target_.parent_path());
  const io::Path lock = draft_.string() + ".lock";
  lock_ = io::FileLock::try_lock(lock);
  require<IoError>(lock_.has_value(), "io.locked",
                   "{} is being written by {}, which holds {}\n  wait until it ends, or name "
                   "another output",
                   target_.string(), io::lock_holder(lock), lock.string());
  io::remove_all(draft_);
  io::create_directories(draft_);
}

DraftDirectory::~DraftDirectory() {
  if (is_committed_) return;
  try {
    io::remove_all(draft_);
  } catch (const std::exception& e) {
    log::warn("{} is left behind and can be removed: {}", draft_.string(), e.what());
  }
}

void DraftDirectory::commit() {
  require<IoError>(!io::exists(target_), "io.exists", "{} exists; give another name or remove it",
                   target_.string());
  io::sync_directory(draft_);
  io::rename(draft_, target_);
  is_committed_ = true;
  lock_.reset();
}

void DraftDirectory::replace() {
  if (!io::exists(target_)) return commit();
  io::sync_directory(draft_);
  io::exchange(draft_, target_);
  is_committed_ = true;
  io::remove_all(draft_);  // the name of what was replaced, now
  lock_.reset();
}

}  // namespace motley
