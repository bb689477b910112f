#include "train/run_lock.h"

#include <exception>

#include "tensor/error.h"
#include "tensor/log.h"

namespace motley {

RunLock::RunLock(const io::Path& run) {
  const io::Path normal = (run / "").lexically_normal().parent_path();
  for (io::Path path = normal; !path.empty() && !io::exists(path); path = path.parent_path())
    made_.push_back(path);
  io::create_directories(run);
  const io::Path file = run / "lock";
  lock_ = io::FileLock::try_lock(file);
  require<ConfigError>(lock_.has_value(), "run.locked",
                       "{} is in use by {}, which holds {}\n  wait until that job ends, or give "
                       "another --train.run",
                       run.string(), io::lock_holder(file), file.string());
}

RunLock::~RunLock() {
  lock_.reset();
  try {
    for (const io::Path& path : made_) io::remove_if_empty(path);
  } catch (const std::exception& e) {
    log::warn("{} is left behind: {}", made_.front().string(), e.what());
  }
}

}  // namespace motley
