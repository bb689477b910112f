#include "train/checkpoint_directory.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "tensor/error.h"
#include "tensor/hash.h"
#include "tensor/json.h"

namespace motley {
namespace {

constexpr std::size_t name_digits = 9;
constexpr std::size_t manifest_format = 1;
constexpr const char* manifest_name = "MANIFEST.json";
constexpr const char* draft_suffix = ".tmp";
constexpr const char* draft_lock_suffix = ".tmp.lock";
constexpr const char* draft_swap_suffix = ".tmp.swap";  // see io::exchange
constexpr const char* trash_suffix = ".trash";

/// The step of a name that checkpoint_name() gives; none for any other.
std::optional<std::uint64_t> step_of(const std::string& name) {
  std::uint64_t step = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), step);
  if (error != std::errc() || checkpoint_name(step) != name) return std::nullopt;
  return step;
}

/// What a checkpoint was called before it got this suffix, if it was one.
bool is_leftover(const std::string& name) {
  for (const std::string_view suffix :
       {draft_suffix, draft_lock_suffix, draft_swap_suffix, trash_suffix}) {
    if (name.ends_with(suffix) && step_of(name.substr(0, name.size() - suffix.size()))) return true;
  }
  return false;
}

/// Renames first: a checkpoint that is half deleted must not look whole.
void discard(const io::Path& checkpoint) {
  const io::Path trash = checkpoint.string() + trash_suffix;
  io::remove_all(trash);
  io::rename(checkpoint, trash);
  io::remove_all(trash);
}

/// The manifest's own hash: over its other members, in the order of their names, without blanks.
std::string hash_of_manifest(nlohmann::json root) {
  root.erase("xxh3_128");
  return hash_of(root.dump());
}

void write_manifest(const io::Path& directory) {
  nlohmann::ordered_json files = nlohmann::ordered_json::array();
  for (const std::string& name : io::list(directory)) {
    files.push_back({{"name", name},
                     {"bytes", io::File::open(directory / name).size()},
                     {"xxh3_128", hash_of_file(directory / name)}});
  }
  nlohmann::ordered_json root{{"format", manifest_format}, {"files", files}};
  root["xxh3_128"] = hash_of_manifest(root);
  io::write_text_atomically(directory / manifest_name, root.dump(2) + "\n");
}

/// What to do when a checkpoint cannot be used: a run resumes from the newest that is there.
std::string remedy(const io::Path& checkpoint) {
  return fmt::format("remove {} and resume: the run goes on from the checkpoint before it",
                     checkpoint.string());
}

void verify_file(const io::Path& checkpoint, const CheckpointFile& file) {
  const io::Path path = checkpoint / file.name;
  require<CheckpointError>(io::exists(path), "ckpt.missing", "{} is missing; {}", path.string(),
                           remedy(checkpoint));
  const std::uint64_t bytes = io::File::open(path).size();
  require<CheckpointError>(bytes == file.bytes, "ckpt.corrupt",
                           "{} has {} bytes, its manifest says {}; {}", path.string(), bytes,
                           file.bytes, remedy(checkpoint));
  const std::string hash = hash_of_file(path);
  require<CheckpointError>(hash == file.hash, "ckpt.corrupt",
                           "{} is damaged: its hash is {}, its manifest says {}; {}", path.string(),
                           hash, file.hash, remedy(checkpoint));
}

}  // namespace

std::string checkpoint_name(std::uint64_t step) {
  return fmt::format("{:0{}}", step, name_digits);
}

CheckpointDraft::CheckpointDraft(const io::Path& ckpt, std::uint64_t step)
    : draft_(ckpt / checkpoint_name(step), draft_suffix) {}

io::Path CheckpointDraft::commit() {
  write_manifest(draft_.path());
  draft_.replace();
  return draft_.target();
}

std::vector<std::uint64_t> checkpoint_steps(const io::Path& ckpt) {
  std::vector<std::uint64_t> steps;
  if (!io::is_directory(ckpt)) return steps;
  for (const std::string& name : io::list(ckpt)) {
    const std::optional<std::uint64_t> step = step_of(name);
    if (step && io::is_directory(ckpt / name)) steps.push_back(*step);
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

io::Path find_checkpoint(const io::Path& path) {
  if (io::exists(path / manifest_name)) return path;
  for (const io::Path& ckpt : {path / "ckpt", path}) {
    const std::vector<std::uint64_t> steps = checkpoint_steps(ckpt);
    if (!steps.empty()) return ckpt / checkpoint_name(steps.back());
  }
  fail<CheckpointError>("ckpt.none",
                        "there is no checkpoint in {}; give a run directory or a checkpoint",
                        path.string());
}

std::vector<CheckpointFile> read_manifest(const io::Path& checkpoint) {
  const io::Path path = checkpoint / manifest_name;
  require<CheckpointError>(io::exists(path), "ckpt.missing", "{} is missing; {}", path.string(),
                           remedy(checkpoint));
  const json::Value root = json::read(path, json::Kind::checkpoint);
  if (root.get("format").as_size() != manifest_format) {
    root.get("format").refuse(fmt::format("must be {}", manifest_format));
  }
  if (root.get("xxh3_128").as_string() != hash_of_manifest(root.raw())) {
    root.refuse("is damaged: its hash is not the one it ends with; " + remedy(checkpoint));
  }
  const json::Value list = root.get("files");
  std::vector<CheckpointFile> files;
  for (std::size_t i = 0; i < list.length(); ++i) {
    const json::Value file = list.at(i);
    files.push_back({file.get("name").as_file_name(), file.get("bytes").as_size(),
                     file.get("xxh3_128").as_string()});
  }
  return files;
}

void verify_checkpoint(const io::Path& checkpoint) {
  for (const CheckpointFile& file : read_manifest(checkpoint)) verify_file(checkpoint, file);
}

void verify_checkpoint_file(const io::Path& checkpoint, const std::string& name) {
  const std::vector<CheckpointFile> files = read_manifest(checkpoint);
  const auto file = std::find_if(files.begin(), files.end(),
                                 [&](const CheckpointFile& f) { return f.name == name; });
  require<CheckpointError>(file != files.end(), "ckpt.missing", "{} has no {}; {}",
                           checkpoint.string(), name, remedy(checkpoint));
  verify_file(checkpoint, *file);
}

void prune_checkpoints(const io::Path& ckpt, std::uint64_t keep) {
  for (const std::string& name : io::list(ckpt)) {
    if (is_leftover(name)) io::remove_all(ckpt / name);
  }
  const std::vector<std::uint64_t> steps = checkpoint_steps(ckpt);
  if (keep == 0) return;
  for (std::size_t i = 0; i + keep < steps.size(); ++i) discard(ckpt / checkpoint_name(steps[i]));
}

}  // namespace motley
