// Checkpoints as directories: how they are named, committed, listed, checked and pruned. What is in
// their files is checkpoint.h's business.
//
// A checkpoint is ckpt/000001200 with MANIFEST.json naming every other file with size and XXH3-128
// hash, and its own hash over that. It is written as ckpt/000001200.tmp and renamed when complete,
// so a directory with a plain number is whole.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tensor/draft_directory.h"
#include "tensor/io.h"

namespace motley {

/// One file of a checkpoint as the manifest has it.
struct CheckpointFile {
  std::string name;
  std::uint64_t bytes = 0;
  std::string hash;
};

/// The directory of a step: "000001200".
std::string checkpoint_name(std::uint64_t step);

/// A checkpoint that is being written. Without commit() it leaves nothing.
class CheckpointDraft {
 public:
  /// Makes an empty ckpt/STEP.tmp, replacing what a killed run left there.
  CheckpointDraft(const io::Path& ckpt, std::uint64_t step);
  /// Where to write the files.
  const io::Path& path() const { return draft_.path(); }
  /// Writes the manifest over the files that are there, then renames; a checkpoint of the same step
  /// is replaced. Returns the final path.
  io::Path commit();

 private:
  DraftDirectory draft_;
};

/// The steps of the complete checkpoints in `ckpt`, ascending; none when the directory is missing.
std::vector<std::uint64_t> checkpoint_steps(const io::Path& ckpt);
/// The directory that `path` means: a checkpoint itself, or the newest one of a run or of its ckpt
/// directory. Throws CheckpointError when there is none.
io::Path find_checkpoint(const io::Path& path);
/// Reads the manifest. Throws CheckpointError naming what is wrong.
std::vector<CheckpointFile> read_manifest(const io::Path& checkpoint);
/// Throws CheckpointError naming the file that is missing, has another size, or another hash.
void verify_checkpoint(const io::Path& checkpoint);
/// The same for one file; also when the manifest does not name it.
void verify_checkpoint_file(const io::Path& checkpoint, const std::string& name);
/// Deletes the oldest checkpoints until `keep` are left (0 keeps all), and what killed runs left
/// half written or half deleted.
void prune_checkpoints(const io::Path& ckpt, std::uint64_t keep);

}  // namespace motley
