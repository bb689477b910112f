// The directory of a run: config.toml, metrics.jsonl, log/rankN.log and ckpt/; of a
// job that stood still, log/stall-STEP/rankN.txt; of one that was profiled, profile/rankN.json.
// While a job trains, lock (run_lock.h).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tensor/io.h"
#include "train/settings.h"

namespace motley {

class RunDirectory {
 public:
  explicit RunDirectory(io::Path root) : root_(std::move(root)) {}

  const io::Path& root() const { return root_; }
  io::Path config() const { return root_ / "config.toml"; }
  io::Path metrics() const { return root_ / "metrics.jsonl"; }
  io::Path checkpoints() const { return root_ / "ckpt"; }
  io::Path logs() const { return root_ / "log"; }
  io::Path profiles() const { return root_ / "profile"; }
  io::Path log(int rank) const;

  /// Whether somebody trained here before.
  bool has_run() const;
  /// For rank 0. Whether the settings may start, resume (train.resume) or replace (train.overwrite)
  /// what is here; a line for each setting in which a resumed run differs from the stored one.
  /// Changes nothing on disk. Throws ConfigError when a run is there and neither is set, when there
  /// is none to resume, and for changes that are not allowed.
  std::vector<std::string> check(const Settings& settings) const;
  /// For rank 0. The tokens of a step of the run that is here; 0 if it does not say.
  std::uint64_t stored_batch() const;
  /// For rank 0, after check() and when all that training needs has been found good. Makes the
  /// directory and stores the settings; train.overwrite deletes the run that is there, and nothing
  /// else.
  void begin(const Settings& settings) const;
  /// For every rank, after begin() on rank 0: sends the rank's log to its file here.
  void start_log(int rank) const;

 private:
  io::Path root_;
};

/// Compares the settings of a run with those it shall go on with. A batch that these leave open
/// (train.global_batch = 0) is the run's. Returns a line for each change;
/// throws ConfigError naming every change that a resumed run cannot have, or only if
/// train.allow_change says so.
std::vector<std::string> compare_for_resume(const Settings& stored, const Settings& wanted);

}  // namespace motley
