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
  io::rename(draft_, target_);
  is_committed_ = true;
}

}  // namespace motley
